// What `dcn_data describe` shows of a data set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/status.h"
#include "worker/data/dataset.h"

namespace dcn::launch {

/// Least, median (the lower one of two) and most ratings of a user or movie.
struct RatingsPer {
  std::uint32_t least = 0;
  std::uint32_t median = 0;
  std::uint32_t most = 0;
};

struct DataDescription {
  std::string name;
  std::string fingerprint;
  std::size_t ratings = 0;
  std::array<std::size_t, 5> rating_counts = {};  // of 1 .. 5
  double rating_mean = 0;
  double rating_deviation = 0;                                    // ddof 0
  std::vector<std::pair<std::string, std::size_t>> vocabularies;  // feature and number of values
  RatingsPer per_user;
  RatingsPer per_movie;
  double train_fraction = 0;
  std::size_t train_rows = 0;
  std::size_t test_rows = 0;
  std::optional<double> noise_floor_rmse;
};

/// train_fraction: nothing stands for dcn_worker's default, 0.75.
/// Errors: as data::MakeSplit.
Result<DataDescription> Describe(const data::Dataset& dataset,
                                 std::optional<double> train_fraction);

/// Lines for a person.
std::string DescriptionText(const DataDescription& description);

/// The same for a program.
nlohmann::ordered_json DescriptionJson(const DataDescription& description);

}  // namespace dcn::launch
