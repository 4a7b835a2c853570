#include "tests/structure/source_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn::structure {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SourceTextTest, BlanksCommentsAndKeepsTheRestInPlace) {
  EXPECT_EQ(BlankCommentsAndLiterals("a// b\nc/* d\ne */f"), "a    \nc    \n    f");
}

TEST(SourceTextTest, BlanksLiteralsAndKeepsTheirQuotes) {
  EXPECT_EQ(BlankCommentsAndLiterals(R"(f("a // b", '"', "\"c");)"), R"(f("      ", ' ', "   ");)");
}

TEST(SourceTextTest, BlanksRawStringsToTheirOwnEnd) {
  EXPECT_EQ(BlankCommentsAndLiterals("R\"x(a\" )\" b)x\" c"), "R\"           \" c");
  EXPECT_EQ(BlankCommentsAndLiterals("u8R\"(a)\" c"), "u8R\"   \" c");
  EXPECT_EQ(BlankCommentsAndLiterals("FOUR\"(a\" c"), "FOUR\"  \" c");  // an ordinary string
}

TEST(SourceTextTest, TakesNoDigitSeparatorForAQuote) {
  EXPECT_EQ(BlankCommentsAndLiterals("1'000'000 + x /* y */"), "1'000'000 + x        ");
  EXPECT_EQ(BlankCommentsAndLiterals("0x1'fffu // y"), "0x1'fffu     ");
}

TEST(SourceTextTest, EndsUnclosedThingsAtTheEnd) {
  EXPECT_EQ(BlankCommentsAndLiterals("a /* b"), "a     ");
  EXPECT_EQ(BlankCommentsAndLiterals("R\"(b"), "R\" b");
  EXPECT_EQ(BlankCommentsAndLiterals("\"b\\"), "\" \\");
  EXPECT_EQ(BlankCommentsAndLiterals(""), "");
}

TEST(SourceTextTest, FindsIncludesOfBothKindsWithTheirLines) {
  const auto includes = FindIncludes("#include \"a/b.h\"\n\n  #  include <vector>\nint x;\n");
  ASSERT_EQ(includes.size(), 2U);
  EXPECT_EQ(includes[0].path, "a/b.h");
  EXPECT_EQ(includes[0].line, 1);
  EXPECT_TRUE(includes[0].quoted);
  EXPECT_EQ(includes[1].path, "vector");
  EXPECT_EQ(includes[1].line, 3);
  EXPECT_FALSE(includes[1].quoted);
}

TEST(SourceTextTest, FindsNoIncludeInCommentsAndLiterals) {
  EXPECT_THAT(FindIncludes("// #include <a>\n/*\n#include <b>\n*/\nR\"(\n#include <c>\n)\""),
              IsEmpty());
}

TEST(SourceTextTest, SplitsLinesWithOrWithoutALastEnd) {
  EXPECT_THAT(SplitLines(""), IsEmpty());
  EXPECT_THAT(SplitLines("a"), ElementsAre("a"));
  EXPECT_THAT(SplitLines("a\n\nb\n"), ElementsAre("a", "", "b"));
}

TEST(SourceTextTest, FindsWholeNamesOnly) {
  EXPECT_THAT(
      FindName("std::thread t;\nstd::thread_x u;\nmystd::thread v;\n(std::thread)", "std::thread"),
      ElementsAre(1, 4));
  EXPECT_THAT(FindName("", "getenv"), IsEmpty());
}

}  // namespace
}  // namespace dcn::structure
