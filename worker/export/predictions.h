// predictions.csv: what the model says about each rating of the test set.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "common/status.h"
#include "worker/data/dataset.h"

namespace dcn::output {

inline constexpr std::string_view kPredictionsFile = "predictions.csv";

/// Writes "user_id,movie_id,rating,prediction" and a line for each of `test_rows`, in that order,
/// atomically; numbers in the shortest form that reads back to the same float32.
/// test_rows: rows of `dataset`, which holds MovieLens' features. predictions: [test_rows.size()].
Status WritePredictions(const std::filesystem::path& path, const data::Dataset& dataset,
                        std::span<const std::uint32_t> test_rows,
                        std::span<const float> predictions);

}  // namespace dcn::output
