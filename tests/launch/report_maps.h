// Whether a sweep's report shows the block norms of the kernels that its runs exported.
//
// Nothing of the report's own code is used: kernels are read from model.safetensors, numbers from
// report.html.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace dcn::testing {

using FeaturePair = std::pair<std::string, std::string>;  // inside x W, of x0

/// The maps of a variant's first cross layer over its runs.
struct BlockNormMaps {
  std::size_t features = 0;
  std::map<FeaturePair, double> mean;
  std::map<FeaturePair, double> standard_deviation;  // ddof 0
  std::map<FeaturePair, double> asymmetry;           // |mean(i, j) - mean(j, i)|
};

/// Of the models below a sweep's folder, the obvious way. Throws std::runtime_error where one is
/// not there, or has no cross layer.
BlockNormMaps MapsOfModels(const std::filesystem::path& sweep, const std::string& variant,
                           const std::vector<std::uint64_t>& seeds);

/// Fails the current test unless report.html has every number of `maps`, rounded to two decimals at
/// least, in the variant's pictures and in its tables, and no others. REQUIRES: of several runs.
void ExpectReportShows(const std::filesystem::path& sweep, const std::string& variant,
                       const BlockNormMaps& maps);

}  // namespace dcn::testing
