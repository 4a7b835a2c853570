// The report in a real browser (headless Chromium): everything is drawn and legible, wide, on a
// phone and on paper, without a console message or a request.

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "launch/report/report.h"
#include "tests/launch/fixture_sweep.h"
#include "tests/launch/report/count_of.h"
#include "tests/testing/command.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::report {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Looks at the page in the frame from outside, so that the page itself stays as users get it.
constexpr const char* kProbe = R"js(
function luminance(colour) {
  const channels = colour.match(/\d+/g).slice(0, 3).map(c => {
    const x = c / 255;
    return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2];
}
function contrast(a, b) {
  const [x, y] = [luminance(a) + 0.05, luminance(b) + 0.05].sort((p, q) => q - p);
  return x / y;
}
function probe() {
  const frame = document.getElementById('page');
  const view = frame.contentWindow, page = frame.contentDocument;
  const box = e => e.getBoundingClientRect();
  const drawn = s => [...page.querySelectorAll(s)]
      .filter(e => box(e).width > 0 && box(e).height > 0).length;
  const style = e => view.getComputedStyle(e);
  const numbers = [...page.querySelectorAll('.cell .number')].map(text => {
    const rect = text.parentElement.querySelector('rect');
    return { contrast: contrast(style(text).fill, style(rect).fill),
             excess: box(text).width - box(rect).width };
  });
  const texts = [...page.querySelectorAll('svg text')];
  const result = {
    maps: drawn('figure.map svg'), cells: drawn('g.cell'), numbers: numbers.length,
    dots: drawn('circle.run'), charts: drawn('figure.loss svg'), lines: drawn('polyline.run'),
    tables: page.querySelectorAll('table').length, width: view.innerWidth,
    strips: drawn('rect.hover'),
    named_strips: [...page.querySelectorAll('rect.hover > title')].filter(t => t.textContent).length,
    hovered: [...page.querySelectorAll('figure.loss svg')].map(svg => {
      svg.scrollIntoView({ block: 'center' });
      const at = box(svg);  // empty space near the right upper corner: no line is there
      const met = page.elementFromPoint(at.left + at.width * 0.9, at.top + at.height * 0.1);
      const title = met && met.matches('rect.hover') && met.querySelector('title');
      return title ? title.textContent : '';
    }),
    named_cells: [...page.querySelectorAll('g.cell > title')].filter(t => t.textContent).length,
    least_contrast: Math.min(...numbers.map(n => n.contrast)),
    largest_excess: Math.max(...numbers.map(n => n.excess)),
    smallest_text: Math.min(...texts.map(t => parseFloat(style(t).fontSize) *
        t.getScreenCTM().a / Math.cos(Math.atan2(t.getScreenCTM().b, t.getScreenCTM().a)))),
    texts_outside: texts.filter(t => box(t).left < 0 || box(t).right > view.innerWidth).length,
    sideways: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    requests: view.performance.getEntriesByType('resource').length,
    scripts: page.scripts.length };
  document.getElementById('answer').textContent = JSON.stringify(result);
}
)js";

// Counts what a screenshot shows.
constexpr const char* kCountColours = R"js(
function probe() {
  const image = document.getElementById('page');
  const canvas = document.createElement('canvas');
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(
      context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  const white = pixels.filter(p => p === 0xffffffff).length;
  document.getElementById('answer').textContent = JSON.stringify({
    width: canvas.width, height: canvas.height, colours: new Set(pixels).size,
    inked: 1 - white / pixels.length });
}
)js";

std::string FindBrowser() {
  const char* path = std::getenv("PATH");
  const std::string folders = path == nullptr ? "" : path;
  for (const char* name : {"chromium", "chromium-browser", "google-chrome"}) {
    for (std::size_t begin = 0; begin <= folders.size();) {
      const std::size_t end = std::min(folders.find(':', begin), folders.size());
      const fs::path program = fs::path(folders.substr(begin, end - begin)) / name;
      if (::access(program.c_str(), X_OK) == 0) return program.string();
      begin = end + 1;
    }
  }
  return "";
}

class BrowserTest : public ::testing::Test {
 protected:
  void SetUp() override {
    browser_ = FindBrowser();
    if (browser_.empty()) {
      GTEST_SKIP() << "no chromium on the PATH: nobody looks at the report (Debian: chromium)";
    }
    testing::WriteFixtureSweep(folder_.path(), {1, 2, 3, 4, 5});
    const Result<SweepResults> results = ReadSweepResults(folder_.path());
    ASSERT_TRUE(results.ok()) << results.status().ToString();
    ASSERT_TRUE(WriteReport(*results, folder_.path()).ok());
  }

  testing::CommandResult Browse(const std::vector<std::string>& more, const fs::path& page) const {
    std::vector<std::string> arguments = {browser_,
                                          "--headless",
                                          "--no-sandbox",
                                          "--disable-gpu",
                                          "--disable-dev-shm-usage",
                                          "--hide-scrollbars",
                                          "--allow-file-access-from-files",
                                          "--enable-logging=stderr",
                                          "--user-data-dir=" + (folder_.path() / "user").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.push_back("file://" + page.string());
    return testing::RunCommand(arguments);
  }

  /// Runs `script` over a page that holds `element`, whose id is "page"; its answer.
  json Ask(const std::string& script, const std::string& element) const {
    const fs::path page = folder_.path() / "probe.html";
    testing::WriteText(page, "<!DOCTYPE html><body style='margin:0' onload='probe()'>" + element +
                                 "<pre id='answer'></pre><script>" + script + "</script></body>");
    const testing::CommandResult result = Browse({"--dump-dom", "--window-size=1400,1000"}, page);
    EXPECT_THAT(result.err, Not(HasSubstr("CONSOLE")));
    const std::string start = "<pre id=\"answer\">";
    const std::size_t begin = result.out.find(start);
    if (begin == std::string::npos) {
      ADD_FAILURE() << "the browser did not answer: " << result.err;
      return {};
    }
    const std::size_t end = result.out.find("</pre>", begin);
    return json::parse(result.out.substr(begin + start.size(), end - begin - start.size()));
  }

  json Look(const fs::path& page, int width) const {
    return Ask(kProbe, fmt::format("<iframe id='page' src='file://{}' style='border:0;width:{}px;"
                                   "height:900px'></iframe>",
                                   page.string(), width));
  }

  /// What must hold at any width.
  static void ExpectDrawn(const json& seen, int width) {
    ASSERT_TRUE(seen.is_object());
    EXPECT_EQ(seen.at("width"), width);
    // Three layers with three maps of 6 x 6.
    EXPECT_EQ(seen.at("maps"), 9);
    EXPECT_EQ(seen.at("cells"), 9 * 36);
    EXPECT_EQ(seen.at("numbers"), 9 * 36);
    EXPECT_EQ(seen.at("named_cells"), 9 * 36);
    EXPECT_EQ(seen.at("dots"), 15);
    EXPECT_EQ(seen.at("charts"), 3);
    EXPECT_EQ(seen.at("lines"), 15);
    // A strip a step, and what the mouse meets in it.
    EXPECT_EQ(seen.at("strips"), 3 * 184);
    EXPECT_EQ(seen.at("named_strips"), 3 * 184);
    EXPECT_THAT(seen.at("hovered").get<std::vector<std::string>>(),
                ElementsAre(StartsWith("step "), StartsWith("step "), StartsWith("step ")));
    EXPECT_EQ(seen.at("tables"), 12);
    EXPECT_GE(seen.at("least_contrast"), 4.5);
    EXPECT_LE(seen.at("largest_excess"), 1) << "a number is wider than its cell";
    EXPECT_EQ(seen.at("texts_outside"), 0);
    EXPECT_EQ(seen.at("sideways"), 0) << "the page must not scroll sideways";
    EXPECT_EQ(seen.at("requests"), 0);
    EXPECT_EQ(seen.at("scripts"), 0);
  }

  const testing::TemporaryFolder folder_;
  const fs::path report_ = folder_.path() / "report.html";
  std::string browser_;
};

TEST_F(BrowserTest, DrawsEverythingOnADesktop) {
  const json seen = Look(report_, 1200);
  ExpectDrawn(seen, 1200);
  EXPECT_GE(seen.at("smallest_text"), 9.5);
}

TEST_F(BrowserTest, DrawsEverythingOnAPhone) {
  const json seen = Look(report_, 390);
  ExpectDrawn(seen, 390);
  EXPECT_GE(seen.at("smallest_text"), 9);
}

TEST_F(BrowserTest, DrawsEverythingOnPaper) {
  // The print style on the width of A4 within its margins.
  std::string html = testing::ReadText(report_);
  const std::string print = "@media print";
  const std::size_t at = html.find(print);
  ASSERT_NE(at, std::string::npos);
  html.replace(at, print.size(), "@media all");
  const fs::path paper = folder_.path() / "paper.html";
  testing::WriteText(paper, html);
  const json seen = Look(paper, 688);
  ExpectDrawn(seen, 688);
  EXPECT_GE(seen.at("smallest_text"), 9);

  const fs::path pdf = folder_.path() / "report.pdf";
  EXPECT_EQ(Browse({"--print-to-pdf=" + pdf.string()}, report_).exit_code, 0);
  const std::string printed = testing::ReadText(pdf);
  EXPECT_TRUE(printed.starts_with("%PDF-"));
  EXPECT_GE(testing::CountOf(printed, "/Type /Page\n"), 2U);
}

TEST_F(BrowserTest, ShowsAPictureThatIsNotBlank) {
  for (const auto& [width, height] : {std::array{1200, 1600}, std::array{600, 2000}}) {
    const fs::path picture = folder_.path() / fmt::format("{}.png", width);
    const testing::CommandResult result = Browse(
        {fmt::format("--window-size={},{}", width, height), "--screenshot=" + picture.string()},
        report_);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.err, Not(HasSubstr("CONSOLE")));
    const json seen =
        Ask(kCountColours, fmt::format("<img id='page' src='file://{}'>", picture.string()));
    ASSERT_TRUE(seen.is_object());
    EXPECT_EQ(seen.at("width"), width);
    EXPECT_EQ(seen.at("height"), height);
    EXPECT_GT(seen.at("colours"), 200);
    EXPECT_GT(seen.at("inked"), 0.03);
    EXPECT_LT(seen.at("inked"), 0.6);
  }
}

// The tests above rely on the browser telling of what goes wrong in a page.
TEST_F(BrowserTest, WouldTellOfAConsoleError) {
  const fs::path page = folder_.path() / "wrong.html";
  testing::WriteText(page, "<!DOCTYPE html><body><script>absent();</script></body>");
  const testing::CommandResult result = Browse({"--dump-dom"}, page);
  EXPECT_THAT(result.err, HasSubstr("CONSOLE"));
  EXPECT_THAT(result.err, HasSubstr("absent is not defined"));
}

}  // namespace
}  // namespace dcn::report
