#include "common/check.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn {
namespace {

using ::testing::HasSubstr;

template <typename Body>
std::string FailureOf(Body&& body) {
  try {
    body();
  } catch (const CheckError& error) {
    return error.what();
  }
  return "";
}

TEST(CheckTest, PassesInSilence) {
  EXPECT_NO_THROW(DCN_CHECK(1 + 1 == 2));
  EXPECT_NO_THROW(DCN_CHECK_EQ(2, 2));
  EXPECT_NO_THROW(DCN_CHECK_NE(1, 2));
  EXPECT_NO_THROW(DCN_CHECK_LT(1, 2));
  EXPECT_NO_THROW(DCN_CHECK_LE(2, 2));
  EXPECT_NO_THROW(DCN_CHECK_GT(2, 1));
  EXPECT_NO_THROW(DCN_CHECK_GE(2, 2));
}

TEST(CheckTest, SaysWhereAndWhich) {
  const std::string what = FailureOf([] { DCN_CHECK(1 > 2); });
  EXPECT_THAT(what, HasSubstr("check_test.cc:"));
  EXPECT_THAT(what, HasSubstr("1 > 2"));
}

TEST(CheckTest, ComparisonsShowBothOperands) {
  const int rows = 3;
  const int limit = 5;
  EXPECT_THAT(FailureOf([&] { DCN_CHECK_EQ(rows, limit); }), HasSubstr("rows == limit (3 vs 5)"));
  EXPECT_THAT(FailureOf([&] { DCN_CHECK_NE(rows, rows); }), HasSubstr("rows != rows (3 vs 3)"));
  EXPECT_THAT(FailureOf([&] { DCN_CHECK_LT(rows, rows); }), HasSubstr("rows < rows (3 vs 3)"));
  EXPECT_THAT(FailureOf([&] { DCN_CHECK_LE(limit, rows); }), HasSubstr("limit <= rows (5 vs 3)"));
  EXPECT_THAT(FailureOf([&] { DCN_CHECK_GT(rows, limit); }), HasSubstr("rows > limit (3 vs 5)"));
  EXPECT_THAT(FailureOf([&] { DCN_CHECK_GE(rows, limit); }), HasSubstr("rows >= limit (3 vs 5)"));
}

TEST(CheckTest, EvaluatesItsOperandsOnce) {
  int calls = 0;
  const auto next = [&calls] { return ++calls; };
  DCN_CHECK_EQ(next(), 1);
  EXPECT_EQ(calls, 1);
  EXPECT_NE(FailureOf([&] { DCN_CHECK_EQ(next(), 7); }), "");
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace dcn
