// The slow, obvious reader of well-formed MovieLens files, and small files to read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "worker/data/movielens.h"

namespace dcn::data::testing {

/// Three users, four movies; a user (30) and nothing else without rating.
inline constexpr std::string_view kTinyRatings1m =
    "1::1193::5::978300760\n"
    "1::20::3::978302109\n"
    "10::1193::4::978301968\n"
    "2::3::1::978300275\n"
    "2::661::2::978824291\n";
inline constexpr std::string_view kTinyUsers1m =
    "1::F::1::10::48067\n"
    "2::M::56::16::70072-1234\n"
    "10::M::25::15::48067\n"
    "30::F::35::7::02460\n";

/// Two users, three movies.
inline constexpr std::string_view kTinyRatings100k =
    "196\t242\t3\t881250949\n"
    "186\t302\t3\t891717742\n"
    "196\t50\t5\t881250949\n";
inline constexpr std::string_view kTinyUsers100k =
    "186|39|F|executive|00000\n"
    "196|49|M|writer|T8H1N\n";

inline MovieLensText Tiny1m(std::string_view ratings = kTinyRatings1m,
                            std::string_view users = kTinyUsers1m) {
  return {MovieLensFormat::kMl1m, ratings, users, "ratings.dat", "users.dat"};
}
inline MovieLensText Tiny100k(std::string_view ratings = kTinyRatings100k,
                              std::string_view users = kTinyUsers100k) {
  return {MovieLensFormat::kMl100k, ratings, users, "u.data", "u.user"};
}

/// What ParseMovieLens must give.
struct OracleData {
  std::vector<std::vector<std::string>> vocabularies;  // sorted
  std::vector<std::vector<std::string>> values;        // [rows][features]
  std::vector<float> labels;
};

inline std::vector<std::string> SplitText(std::string text, const std::string& separator) {
  std::vector<std::string> parts;
  for (std::size_t at; (at = text.find(separator)) != std::string::npos;) {
    parts.push_back(text.substr(0, at));
    text.erase(0, at + separator.size());
  }
  parts.push_back(text);
  return parts;
}

inline std::vector<std::vector<std::string>> ReadTable(std::string_view text,
                                                       const std::string& separator) {
  std::vector<std::vector<std::string>> table;
  std::istringstream stream{std::string(text)};
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    table.push_back(SplitText(line, separator));
  }
  return table;
}

/// REQUIRES: a well-formed source in ASCII.
inline OracleData ReadObviously(const MovieLensText& text) {
  const bool is_1m = text.format == MovieLensFormat::kMl1m;
  std::map<std::string, std::vector<std::string>> users;  // id, zip, occupation, gender, age
  for (const auto& line : ReadTable(text.users, is_1m ? "::" : "|")) {
    const std::string& gender = is_1m ? line[1] : line[2];
    const int years = std::stoi(is_1m ? line[2] : line[1]);
    int bucket = 0;
    for (const int bound : {1, 18, 25, 35, 45, 50, 56}) {
      if (years >= bound) bucket = bound;
    }
    users[line[0]] = {line[0], line[4], line[3], gender == "M" ? "1" : "0", std::to_string(bucket)};
  }
  OracleData data;
  std::vector<std::set<std::string>> distinct(6);
  for (const auto& line : ReadTable(text.ratings, is_1m ? "::" : "\t")) {
    std::vector<std::string> values = {line[1]};
    for (const std::string& value : users.at(line[0])) values.push_back(value);
    for (std::size_t f = 0; f < values.size(); ++f) distinct[f].insert(values[f]);
    data.values.push_back(values);
    data.labels.push_back(std::stof(line[2]));
  }
  for (std::size_t f = 0; f < distinct.size(); ++f) {
    data.vocabularies.emplace_back(distinct[f].begin(), distinct[f].end());
    if (f >= 4) {
      std::sort(
          data.vocabularies[f].begin(), data.vocabularies[f].end(),
          [](const std::string& a, const std::string& b) { return std::stoi(a) < std::stoi(b); });
    }
  }
  return data;
}

/// Whether `dataset` says the same, in every field. The first difference, or nothing.
inline std::string Difference(const Dataset& dataset, const OracleData& expected) {
  if (dataset.rows() != expected.labels.size()) return "rows";
  if (dataset.feature_count() != expected.vocabularies.size()) return "features";
  for (std::size_t f = 0; f < dataset.feature_count(); ++f) {
    const Vocabulary& vocabulary = dataset.vocabularies()[f];
    if (vocabulary.values != expected.vocabularies[f]) return "vocabulary " + vocabulary.feature;
    if (vocabulary.feature != kMovieLensFeatures[f]) return "name " + vocabulary.feature;
    if (vocabulary.is_integer != (f >= 4)) return "type of " + vocabulary.feature;
  }
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    if (dataset.labels()[row] != expected.labels[row]) return "label " + std::to_string(row);
    for (std::size_t f = 0; f < dataset.feature_count(); ++f) {
      const std::uint32_t id = dataset.ids(row)[f];
      const auto& values = dataset.vocabularies()[f].values;
      if (id == 0 || id > values.size() || values[id - 1] != expected.values[row][f]) {
        return "row " + std::to_string(row) + ", feature " + std::to_string(f);
      }
    }
  }
  return "";
}

}  // namespace dcn::data::testing
