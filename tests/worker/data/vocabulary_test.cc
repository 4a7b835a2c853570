#include "worker/data/vocabulary.h"

#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/check.h"
#include "common/random.h"

namespace dcn::data {
namespace {

using ::testing::ElementsAre;

TEST(VocabularyTest, SortsTextBytewise) {
  const Vocabulary vocabulary =
      MakeVocabulary("zip", false, {"55117", "10", "9", "100", "", "\xC3\xA9", "T8H1N", "2"});
  EXPECT_EQ(vocabulary.feature, "zip");
  EXPECT_FALSE(vocabulary.is_integer);
  EXPECT_THAT(vocabulary.values,
              ElementsAre("", "10", "100", "2", "55117", "9", "T8H1N", "\xC3\xA9"));
}

TEST(VocabularyTest, SortsIntegersAsNumbers) {
  const Vocabulary vocabulary = MakeVocabulary("age", true, {"56", "1", "100", "18", "-5"});
  EXPECT_TRUE(vocabulary.is_integer);
  EXPECT_THAT(vocabulary.values, ElementsAre("-5", "1", "18", "56", "100"));
}

TEST(VocabularyTest, KeepsEachValueOnce) {
  EXPECT_THAT(MakeVocabulary("f", false, {"b", "a", "b", "b", "a"}).values, ElementsAre("a", "b"));
  EXPECT_THAT(MakeVocabulary("f", true, {"1", "0", "1", "1"}).values, ElementsAre("0", "1"));
}

TEST(VocabularyTest, OfNothingHasTheUnknownRowOnly) {
  const Vocabulary vocabulary = MakeVocabulary("f", false, {});
  EXPECT_EQ(vocabulary.table_rows(), 1U);
  EXPECT_EQ(TableRow(vocabulary, "x"), 0U);
}

TEST(VocabularyTest, RowZeroIsForUnknownValues) {
  const Vocabulary text = MakeVocabulary("f", false, {"b", "d"});
  for (const char* unknown : {"", "a", "c", "e", "bb"}) EXPECT_EQ(TableRow(text, unknown), 0U);
  const Vocabulary integer = MakeVocabulary("f", true, {"5", "18"});
  for (const char* unknown : {"", "4", "6", "19", "x", "05", "5x"}) {
    EXPECT_EQ(TableRow(integer, unknown), 0U) << unknown;
  }
}

TEST(VocabularyTest, IntegersMustBeIntegers) {
  EXPECT_THROW(MakeVocabulary("f", true, {"1", "one"}), CheckError);
}

// The obvious way: an ordered set, counted through.
TEST(VocabularyTest, RowsAreThoseOfAnOrderedSet) {
  const RandomStream random(7, 1);
  for (const std::size_t count : {0U, 1U, 2U, 777U}) {
    std::vector<std::string> values;
    for (std::size_t i = 0; i < count; ++i) values.push_back(std::to_string(random.Word(i) % 500));
    const std::set<std::string> ordered(values.begin(), values.end());
    std::set<long> ordered_numbers;
    for (const std::string& value : values) ordered_numbers.insert(std::stol(value));

    const Vocabulary text = MakeVocabulary("f", false, values);
    ASSERT_EQ(text.values, std::vector<std::string>(ordered.begin(), ordered.end()));
    std::uint32_t row = 0;
    for (const std::string& value : ordered) EXPECT_EQ(TableRow(text, value), ++row);

    const Vocabulary integer = MakeVocabulary("f", true, values);
    ASSERT_EQ(integer.values.size(), ordered_numbers.size());
    row = 0;
    for (const long number : ordered_numbers) {
      EXPECT_EQ(TableRow(integer, std::to_string(number)), ++row);
    }
  }
}

}  // namespace
}  // namespace dcn::data
