// Ratings in the form that training reads: one table row per feature and rating, and the labels.
//
// Immutable once made. Whether the arrays live on the heap (freshly parsed) or in a mapped cache
// file does not show.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dcn::data {

/// The sorted distinct values of one feature over ALL ratings. Value i is row i + 1 of the
/// feature's table; row 0 stands for whatever is not in the vocabulary.
struct Vocabulary {
  std::string feature;              // "movie_id"
  bool is_integer = false;          // sorted as numbers and written as JSON numbers
  std::vector<std::string> values;  // as they stand in the files

  /// Rows of the feature's table, the out-of-vocabulary row included.
  [[nodiscard]] std::size_t table_rows() const { return values.size() + 1; }
  friend bool operator==(const Vocabulary&, const Vocabulary&) = default;
};

/// The features of MovieLens in the experiment's order.
inline constexpr std::string_view kMovieLensFeatures[] = {"movie_id",      "user_id",
                                                          "user_zip_code", "user_occupation_text",
                                                          "user_gender",   "bucketized_user_age"};
inline constexpr std::size_t kMovieFeature = 0;  // position of movie_id above
inline constexpr std::size_t kUserFeature = 1;   // position of user_id above

/// Encoded ratings, in the order of the source file. Thread safety: immutable.
class Dataset {
 public:
  /// ids: [rows, vocabularies.size()], labels: [rows]; both point into what `owner` keeps alive.
  /// noise_floor_rmse: see below.
  Dataset(std::string name, std::vector<Vocabulary> vocabularies,
          std::span<const std::uint32_t> ids, std::span<const float> labels,
          std::shared_ptr<const void> owner, std::string fingerprint,
          std::optional<double> noise_floor_rmse = std::nullopt);

  /// "ml-1m", "ml-100k" or "synthetic".
  [[nodiscard]] const std::string& name() const { return name_; }
  /// XXH3-128 (hex) of the source: what a cache or a checkpoint compares.
  [[nodiscard]] const std::string& fingerprint() const { return fingerprint_; }
  /// Synthetic data only: the RMSE over all rows of the best prediction that there is, the one that
  /// knows the planted parameters.
  [[nodiscard]] std::optional<double> noise_floor_rmse() const { return noise_floor_rmse_; }
  [[nodiscard]] const std::vector<Vocabulary>& vocabularies() const { return vocabularies_; }
  [[nodiscard]] std::size_t feature_count() const { return vocabularies_.size(); }
  [[nodiscard]] std::size_t rows() const { return labels_.size(); }
  /// Table rows, [rows(), feature_count()], row-major.
  [[nodiscard]] std::span<const std::uint32_t> ids() const { return ids_; }
  /// Table rows of one rating, [feature_count()].
  [[nodiscard]] std::span<const std::uint32_t> ids(std::size_t row) const {
    return ids_.subspan(row * feature_count(), feature_count());
  }
  /// Ratings as float32, [rows()].
  [[nodiscard]] std::span<const float> labels() const { return labels_; }

 private:
  std::string name_;
  std::string fingerprint_;
  std::optional<double> noise_floor_rmse_;
  std::vector<Vocabulary> vocabularies_;
  std::span<const std::uint32_t> ids_;
  std::span<const float> labels_;
  std::shared_ptr<const void> owner_;  // shared: a Dataset may be copied, the arrays are not
};

}  // namespace dcn::data
