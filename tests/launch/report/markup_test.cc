#include "launch/report/markup.h"

#include <limits>

#include <gtest/gtest.h>

namespace dcn::report {
namespace {

TEST(MarkupTest, EscapesEverythingThatIsMarkup) {
  EXPECT_EQ(Escape("<a href=\"x\" title='y'> & é"),
            "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt; &amp; é");
  EXPECT_EQ(Escape(std::string("a\0b\x1b\x7f\tc\n", 8)), "ab\tc\n");
}

TEST(MarkupTest, ShortensByCharacters) {
  EXPECT_EQ(Shorten("movie", 5), "movie");
  EXPECT_EQ(Shorten("movies", 5), "movi…");
  EXPECT_EQ(Shorten("ééé", 3), "ééé");
  EXPECT_EQ(Shorten("éééé", 3), "éé…");
  EXPECT_EQ(Shorten("ab", 1), "…");
  EXPECT_EQ(CharacterCount("é…x"), 3U);
}

TEST(MarkupTest, WritesNumbersAndWhatIsNone) {
  EXPECT_EQ(Fixed(0.93441, 4), "0.9344");
  EXPECT_EQ(Fixed(2, 0), "2");
  EXPECT_EQ(Fixed(std::numeric_limits<double>::quiet_NaN(), 4), "–");
  EXPECT_EQ(Fixed(std::numeric_limits<double>::infinity(), 4), "–");
}

TEST(MarkupTest, MarksTheHeadersOfATable) {
  EXPECT_EQ(TableHtml({"c", "What", {"a", "b"}, {{"x", "1"}, {"y", "2"}}}),
            "<table class=\"c\">\n<caption>What</caption>\n"
            "<thead><tr><th scope=\"col\">a</th><th scope=\"col\">b</th></tr></thead>\n<tbody>\n"
            "<tr><th scope=\"row\">x</th><td>1</td></tr>\n"
            "<tr><th scope=\"row\">y</th><td>2</td></tr>\n</tbody>\n</table>\n");
  EXPECT_EQ(TableHtml({"c", "", {}, {}}), "<table class=\"c\">\n<tbody>\n</tbody>\n</table>\n");
}

}  // namespace
}  // namespace dcn::report
