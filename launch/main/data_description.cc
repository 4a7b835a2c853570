#include "launch/main/data_description.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>

#include "common/check.h"
#include "worker/data/split.h"

namespace dcn::launch {
namespace {

RatingsPer CountRatings(const data::Dataset& dataset, std::size_t feature) {
  std::vector<std::uint32_t> counts(dataset.vocabularies()[feature].values.size());
  for (std::size_t row = 0; row < dataset.rows(); ++row) ++counts[dataset.ids(row)[feature] - 1];
  std::sort(counts.begin(), counts.end());
  return {
      .least = counts.front(), .median = counts[(counts.size() - 1) / 2], .most = counts.back()};
}

void SummarizeRatings(const data::Dataset& dataset, DataDescription& description) {
  for (const float label : dataset.labels()) {
    const auto rating = static_cast<std::size_t>(label);
    DCN_CHECK(rating >= 1 && rating <= 5);
    ++description.rating_counts[rating - 1];
  }
  const auto total = static_cast<double>(dataset.rows());
  for (std::size_t k = 0; k < description.rating_counts.size(); ++k) {
    description.rating_mean +=
        static_cast<double>(k + 1) * static_cast<double>(description.rating_counts[k]) / total;
  }
  double variance = 0;
  for (std::size_t k = 0; k < description.rating_counts.size(); ++k) {
    const double deviation = static_cast<double>(k + 1) - description.rating_mean;
    variance += deviation * deviation * static_cast<double>(description.rating_counts[k]) / total;
  }
  description.rating_deviation = std::sqrt(variance);
}

nlohmann::ordered_json RatingsPerJson(const RatingsPer& ratings) {
  return {{"least", ratings.least}, {"median", ratings.median}, {"most", ratings.most}};
}

}  // namespace

Result<DataDescription> Describe(const data::Dataset& dataset,
                                 std::optional<double> train_fraction) {
  DataDescription description;
  description.train_fraction = train_fraction.value_or(0.75);
  DCN_ASSIGN_OR_RETURN(const data::Split split,
                       data::MakeSplit(dataset.rows(), description.train_fraction));
  description.train_rows = split.train.size();
  description.test_rows = split.test.size();
  description.name = dataset.name();
  description.fingerprint = dataset.fingerprint();
  description.ratings = dataset.rows();
  SummarizeRatings(dataset, description);
  for (const data::Vocabulary& vocabulary : dataset.vocabularies()) {
    description.vocabularies.emplace_back(vocabulary.feature, vocabulary.values.size());
  }
  description.per_user = CountRatings(dataset, data::kUserFeature);
  description.per_movie = CountRatings(dataset, data::kMovieFeature);
  description.noise_floor_rmse = dataset.noise_floor_rmse();
  return description;
}

std::string DescriptionText(const DataDescription& d) {
  constexpr double kPercent = 100;
  constexpr double kBarWidth = 60;  // characters for all ratings
  std::string text = fmt::format("data set     {}\nfingerprint  {}\nratings      {}\n", d.name,
                                 d.fingerprint, d.ratings);
  for (std::size_t k = 0; k < d.rating_counts.size(); ++k) {
    const double share = static_cast<double>(d.rating_counts[k]) / static_cast<double>(d.ratings);
    text += fmt::format("  {}  {:>9}  {:4.1f} %  {}\n", k + 1, d.rating_counts[k], kPercent * share,
                        std::string(static_cast<std::size_t>(std::lround(kBarWidth * share)), '#'));
  }
  text += fmt::format("mean         {:.4f}, standard deviation {:.4f}\n", d.rating_mean,
                      d.rating_deviation);
  for (const auto& [item, per] : {std::pair("user", d.per_user), std::pair("movie", d.per_movie)}) {
    text += fmt::format("a {:<10} has {} to {} ratings, median {}\n", item, per.least, per.most,
                        per.median);
  }
  text += "vocabularies (a table has one row more, for values that are not known)\n";
  std::size_t table_rows = 0;
  for (const auto& [feature, values] : d.vocabularies) {
    text += fmt::format("  {:<21}{:>9}\n", feature, values);
    table_rows += values + 1;
  }
  text += fmt::format("table rows   {}\n", table_rows);
  text += fmt::format("split        {} train, {} test (training fraction {})\n", d.train_rows,
                      d.test_rows, d.train_fraction);
  if (d.noise_floor_rmse) {
    text += fmt::format("noise floor  RMSE {:.4f}: no model predicts these drawn ratings better\n",
                        *d.noise_floor_rmse);
  }
  return text;
}

nlohmann::ordered_json DescriptionJson(const DataDescription& d) {
  nlohmann::ordered_json json;
  json["name"] = d.name;
  json["fingerprint"] = d.fingerprint;
  json["ratings"] = d.ratings;
  for (std::size_t k = 0; k < d.rating_counts.size(); ++k) {
    json["rating_counts"][std::to_string(k + 1)] = d.rating_counts[k];
  }
  json["rating_mean"] = d.rating_mean;
  json["rating_deviation"] = d.rating_deviation;
  json["ratings_per_user"] = RatingsPerJson(d.per_user);
  json["ratings_per_movie"] = RatingsPerJson(d.per_movie);
  std::size_t table_rows = 0;
  for (const auto& [feature, values] : d.vocabularies) {
    json["vocabulary_sizes"][feature] = values;
    table_rows += values + 1;
  }
  json["table_rows"] = table_rows;
  json["split"] = {{"train_fraction", d.train_fraction},
                   {"train_rows", d.train_rows},
                   {"test_rows", d.test_rows}};
  if (d.noise_floor_rmse) json["noise_floor_rmse"] = *d.noise_floor_rmse;
  return json;
}

}  // namespace dcn::launch
