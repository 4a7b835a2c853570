// A data set of MovieLens-1M's size and shape, made from a seed: for machines without the real one.
//
// It comes as the texts of files in the official format, so that a data set in memory and one that
// was written to a folder and read again are the same by construction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/status.h"
#include "worker/data/dataset.h"

namespace dcn::data {

/// Seed of the built-in data sets.
inline constexpr std::uint64_t kSyntheticSeed = 1;
/// Raised whenever another data set comes out of the same spec.
inline constexpr int kSyntheticVersion = 1;

struct SyntheticSpec {
  std::string size;  // "full", "small": as given on the command line
  std::size_t users = 0;
  std::size_t movies = 0;  // all of them rated
  std::size_t zips = 0;
  std::size_t ratings = 0;
  std::uint64_t seed = kSyntheticSeed;
};

/// "full" has the counts of MovieLens-1M: 6,040 users, 3,706 movies, 3,439 zip codes, 1,000,209
/// ratings. "small" has 20,000 ratings, for tests. Occupations (21), genders (2) and age buckets
/// (7) are the same. kInvalidArgument: another size; the message lists the valid ones.
Result<SyntheticSpec> MakeSyntheticSpec(std::string_view size, std::uint64_t seed = kSyntheticSeed);

/// The spec that a data source names: "synthetic" is the full one, "synthetic-small" the small one.
/// Nothing for any other source.
std::optional<SyntheticSpec> FindSyntheticSource(std::string_view source);

/// File contents in the format of ml-1m.
struct SyntheticFiles {
  std::string ratings;
  std::string users;
  std::string movies;
  /// RMSE of the planted expectation over all ratings: no prediction does better, but by luck.
  /// A multiple of 1e-6.
  double noise_floor_rmse = 0;
};

/// Draws the data set; a pure function of the spec. Popularity and activity are as skewed as in
/// MovieLens-1M (>= 20 ratings a user, no pair twice); ratings are planted (planted_taste.h).
SyntheticFiles Synthesize(const SyntheticSpec& spec);

/// The same as a Dataset named "synthetic".
Dataset SynthesizeDataset(const SyntheticSpec& spec);

}  // namespace dcn::data
