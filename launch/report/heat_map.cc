#include "launch/report/heat_map.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <fmt/format.h>

#include "common/check.h"
#include "launch/report/axis.h"
#include "launch/report/markup.h"

namespace dcn::report {
namespace {

constexpr std::size_t kMaxLabelCharacters = 24;
constexpr double kCharacterWidth = 6.0;  // of a letter of 11 px, generously
constexpr double kPictureWidth = 348;    // what a phone shows without shrinking it

/// Three significant digits of the largest number, in at most five characters.
int CellDecimals(double maximum) { return std::min(DecimalsFor(maximum), 3); }

/// Where things stand in the picture; units are CSS pixels at its natural size.
struct Layout {
  double cell = 0;
  double left = 0;  // room of the row labels
  double top = 0;   // room of the slanted column labels
  double width = 0;
  double height = 0;
  double number_size = 0;  // font size of the numbers, 0: no room for them
};

Layout MakeLayout(std::span<const std::string> features) {
  std::size_t longest = 1;
  for (const std::string& name : features) {
    longest = std::max(longest, std::min(CharacterCount(name), kMaxLabelCharacters));
  }
  const double label = static_cast<double>(longest) * kCharacterWidth;
  const auto count = static_cast<double>(features.size());
  Layout layout;
  // Column labels slant down to their column from the upper left, over the row labels.
  layout.left = label + 8;
  layout.top = label * 0.71 + 12;
  layout.cell = std::clamp((kPictureWidth - layout.left - 2) / count, 14.0, 44.0);
  layout.width = layout.left + count * layout.cell + 2;
  layout.height = layout.top + count * layout.cell + 42;
  if (layout.cell >= 26) layout.number_size = layout.cell >= 32 ? 11 : 9;
  return layout;
}

std::string Labels(std::span<const std::string> features, const Layout& layout) {
  std::string svg;
  for (std::size_t k = 0; k < features.size(); ++k) {
    const std::string name = Escape(Shorten(features[k], kMaxLabelCharacters));
    const double middle = (static_cast<double>(k) + 0.5) * layout.cell;
    svg += fmt::format("<text class=\"name\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
                       layout.left - 6, layout.top + middle + 4, name);
    svg += fmt::format(
        "<text class=\"name\" transform=\"translate({:.1f} {:.1f}) rotate(45)\">{}</text>\n",
        layout.left + middle + 2, layout.top - 5, name);
  }
  return svg;
}

/// The values that the ends of the ramp stand for.
struct Scale {
  double low = 0;
  double high = 0;
  [[nodiscard]] double Share(double value) const {
    return high > low ? (value - low) / (high - low) : 0;
  }
};

Scale MakeScale(const SquareMap& map, bool starts_at_zero) {
  const auto [low, high] = std::minmax_element(map.values.begin(), map.values.end());
  return {starts_at_zero ? 0 : *low, *high};
}

std::string Cell(const SquareMap& map, std::size_t row, std::size_t column,
                 std::span<const std::string> features, const HeatMap& style, const Layout& layout,
                 const Scale& scale) {
  const double value = map.at(row, column);
  const Colour fill = RampColour(style.ramp, scale.Share(value));
  const int decimals = CellDecimals(scale.high);
  const double x = layout.left + static_cast<double>(column) * layout.cell;
  const double y = layout.top + static_cast<double>(row) * layout.cell;
  std::string svg = fmt::format(
      "<g class=\"cell\"><title>{} × {}: {} {}</title><rect x=\"{:.1f}\" y=\"{:.1f}\" "
      "width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>",
      Escape(features[row]), Escape(features[column]), style.quantity, Fixed(value, decimals), x, y,
      layout.cell - 1, layout.cell - 1, Hex(fill));
  if (layout.number_size > 0) {
    svg += fmt::format(
        "<text class=\"number\" x=\"{:.1f}\" y=\"{:.1f}\" "
        "style=\"font-size:{}px;fill:{}\">{}</text>",
        x + (layout.cell - 1) / 2, y + layout.cell / 2 + 3.5, layout.number_size,
        Hex(TextColour(fill)), Fixed(value, decimals));
  }
  return svg + "</g>\n";
}

/// The ramp below the map, with the values of its ends and its middle.
std::string ColourScale(const HeatMap& style, const Layout& layout, const Scale& scale) {
  constexpr int kSteps = 48;
  const double width = layout.width - layout.left - 2;
  const double y = layout.height - 32;
  std::string svg;
  for (int k = 0; k < kSteps; ++k) {
    svg += fmt::format(
        "<rect x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"9\" fill=\"{}\" "
        "shape-rendering=\"crispEdges\"/>",
        layout.left + k * width / kSteps, y, width / kSteps + 0.3,
        Hex(RampColour(style.ramp, (k + 0.5) / kSteps)));
  }
  svg += fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"9\" class=\"outline\"/>\n",
      layout.left, y, width);
  const int decimals = CellDecimals(scale.high);
  const char* anchors[] = {"start", "middle", "end"};
  for (int k = 0; k < 3; ++k) {
    svg +=
        fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n",
                    layout.left + k * width / 2, y + 21, anchors[k],
                    Fixed(scale.low + k * (scale.high - scale.low) / 2, decimals));
  }
  return svg;
}

/// A table with a row and a column a feature; number: the HTML of cell (row, column), row-major.
template <typename Number>
std::string FeatureTable(std::span<const std::string> features, const std::string& caption,
                         const std::string& corner, const Number& number) {
  Table table;
  table.css_class = "numbers";
  table.caption = Escape(caption);
  table.head = {corner};
  for (const std::string& name : features) table.head.push_back(Escape(name));
  for (std::size_t row = 0; row < features.size(); ++row) {
    std::vector<std::string> cells = {Escape(features[row])};
    for (std::size_t column = 0; column < features.size(); ++column) {
      cells.push_back(number(row * features.size() + column));
    }
    table.rows.push_back(std::move(cells));
  }
  return TableHtml(table);
}

std::string MeanAndDeviation(const MapStatistics& statistics, std::size_t at, std::size_t runs,
                             int decimals) {
  std::string text = Fixed(statistics.mean.values[at], decimals);
  if (runs > 1) text += "&nbsp;±&nbsp;" + Fixed(statistics.standard_deviation.values[at], decimals);
  return text;
}

double Largest(const SquareMap& map) {
  return *std::max_element(map.values.begin(), map.values.end());
}

}  // namespace

std::string HeatMapFigure(const SquareMap& map, std::span<const std::string> features,
                          const HeatMap& style) {
  DCN_CHECK_EQ(map.size, features.size());
  const Layout layout = MakeLayout(features);
  const Scale scale = MakeScale(map, style.starts_at_zero);
  std::string svg = fmt::format(
      "<figure class=\"map\">\n<figcaption>{}</figcaption>\n<svg viewBox=\"0 0 {:.0f} {:.0f}\" "
      "style=\"max-width:{:.0f}px\" role=\"img\" aria-label=\"{}: numbers in the table below\">\n",
      Escape(style.title), layout.width, layout.height, layout.width, Escape(style.title));
  svg += Labels(features, layout);
  for (std::size_t row = 0; row < map.size; ++row) {
    for (std::size_t column = 0; column < map.size; ++column) {
      svg += Cell(map, row, column, features, style, layout, scale);
    }
  }
  return svg + ColourScale(style, layout, scale) + "</svg>\n</figure>\n";
}

std::string HeatMapTable(const MapStatistics& statistics, std::span<const std::string> features,
                         std::size_t runs, const std::string& caption) {
  const int decimals = CellDecimals(Largest(statistics.mean));
  return FeatureTable(features, caption, "inside x W ↓, of x0 →", [&](std::size_t at) {
    return MeanAndDeviation(statistics, at, runs, decimals);
  });
}

std::string AsymmetryTable(const MapStatistics& statistics, std::span<const std::string> features,
                           const std::string& caption) {
  const int decimals = CellDecimals(Largest(statistics.asymmetry));
  return FeatureTable(features, caption, "i ↓, j →", [&](std::size_t at) {
    return Fixed(statistics.asymmetry.values[at], decimals);
  });
}

std::string StrongestPairs(const MapStatistics& statistics, std::span<const std::string> features,
                           std::size_t runs, std::size_t count) {
  std::vector<std::size_t> order(statistics.mean.values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return statistics.mean.values[a] > statistics.mean.values[b];
  });
  order.resize(std::min(order.size(), count));
  const int decimals = CellDecimals(Largest(statistics.mean));
  std::string html;
  for (const std::size_t at : order) {
    if (!html.empty()) html += "; ";
    html += fmt::format("<b>{} × {}</b> {}", Escape(features[at / features.size()]),
                        Escape(features[at % features.size()]),
                        MeanAndDeviation(statistics, at, runs, decimals));
  }
  return html;
}

}  // namespace dcn::report
