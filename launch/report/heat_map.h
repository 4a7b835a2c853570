// The block norms of a cross layer as pictures and as tables.
#pragma once

#include <span>
#include <string>

#include "launch/report/block_norms.h"
#include "launch/report/palette.h"

namespace dcn::report {

/// One map as an SVG: a cell a pair, its number in it where there is room, and on hover.
struct HeatMap {
  std::string title;     // heading above it, and the picture's name for a screen reader
  std::string quantity;  // for the hover text: "mean", "standard deviation", …
  Ramp ramp = Ramp::kBlue;
  bool starts_at_zero = false;  // the lightest colour is 0 instead of the smallest value
};

/// A <figure> with the picture and its colour scale. features: names of rows and columns,
/// [map.size]. Every cell is a <g class="cell"> with a <title>.
std::string HeatMapFigure(const SquareMap& map, std::span<const std::string> features,
                          const HeatMap& style);

/// The numbers of a layer as a table: in each cell the mean, with the deviation where there are
/// runs > 1.
std::string HeatMapTable(const MapStatistics& statistics, std::span<const std::string> features,
                         std::size_t runs, const std::string& caption);

/// The asymmetry of a layer as a table.
std::string AsymmetryTable(const MapStatistics& statistics, std::span<const std::string> features,
                           const std::string& caption);

/// "movie_id × user_id 6.80 ± 0.12; …": the `count` largest means, as HTML.
std::string StrongestPairs(const MapStatistics& statistics, std::span<const std::string> features,
                           std::size_t runs, std::size_t count);

}  // namespace dcn::report
