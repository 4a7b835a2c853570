#include "common/status.h"

#include <memory>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace dcn {
namespace {

TEST(StatusTest, DefaultIsSuccess) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::kOk);
  EXPECT_EQ(status.ToString(), "ok");
}

TEST(StatusTest, ErrorFormatsItsMessage) {
  const Status status = Error(StatusCode::kDataLoss, "{}:{}: {}", "users.dat", 3, "too short");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.ToString(), "data loss: users.dat:3: too short");
}

TEST(StatusTest, EveryCodeHasANameOfItsOwn) {
  std::set<std::string> names;
  for (int code = 0; code <= static_cast<int>(StatusCode::kInternal); ++code) {
    names.insert(StatusCodeName(static_cast<StatusCode>(code)));
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(StatusCode::kInternal) + 1);
  EXPECT_EQ(names.count("unknown"), 0U);
}

TEST(ResultTest, HoldsAValueOrAStatus) {
  const Result<int> value = 3;
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(*value, 3);
  EXPECT_TRUE(value.status().ok());
  const Result<int> error = Error(StatusCode::kNotFound, "no such thing");
  EXPECT_FALSE(error.ok());
  EXPECT_EQ(error.status().message(), "no such thing");
}

TEST(ResultTest, MovesAMoveOnlyValueOut) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  EXPECT_EQ(**result, 5);
  const std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 5);
}

TEST(ResultTest, TakingAnAbsentValueIsABug) {
  const Result<int> error = Error(StatusCode::kNotFound, "no such thing");
  EXPECT_THROW((void)error.value(), CheckError);
  EXPECT_THROW((void)*error, CheckError);
}

TEST(ResultTest, SuccessWithoutAValueIsABug) {
  EXPECT_THROW((void)Result<int>{Status()}, CheckError);
}

Result<int> Halve(int number) {
  if (number % 2 != 0) return Error(StatusCode::kInvalidArgument, "{} is odd", number);
  return number / 2;
}

Result<int> Quarter(int number) {
  DCN_ASSIGN_OR_RETURN(const int half, Halve(number));
  DCN_ASSIGN_OR_RETURN(const int quarter, Halve(half));
  return quarter;
}

Status CheckAll(std::initializer_list<int> numbers, int& checked) {
  for (const int number : numbers) {
    DCN_RETURN_IF_ERROR(Halve(number).status());
    ++checked;
  }
  return {};
}

TEST(StatusMacrosTest, AssignOrReturnPassesTheFirstErrorOn) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(Quarter(3).status().message(), "3 is odd");
  EXPECT_EQ(Quarter(6).status().message(), "3 is odd");
}

TEST(StatusMacrosTest, ReturnIfErrorStopsAtTheFirstError) {
  int checked = 0;
  EXPECT_TRUE(CheckAll({2, 4}, checked).ok());
  EXPECT_EQ(checked, 2);
  checked = 0;
  EXPECT_EQ(CheckAll({2, 5, 7}, checked).message(), "5 is odd");
  EXPECT_EQ(checked, 1);
}

}  // namespace
}  // namespace dcn
