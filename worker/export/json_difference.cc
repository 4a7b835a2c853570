#include "worker/export/json_difference.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include <fmt/format.h>

namespace dcn::output {
namespace {

using nlohmann::json;

// As many differing fields does a message name.
constexpr std::size_t kNamedDifferences = 4;

struct Difference {
  std::string field;
  std::string first;
  std::string second;
};

// A value in a message: cut where it is long.
std::string Shown(const json& value) {
  constexpr std::size_t kLongest = 60;
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "…";
  return text;
}

void ListDifferences(const json& first, const json& second, const std::string& prefix,
                     std::vector<Difference>& differences) {
  const auto field = [&prefix](const std::string& key) {
    return prefix.empty() ? key : prefix + "." + key;
  };
  for (const auto& [key, value] : second.items()) {
    const auto found = first.find(key);
    if (found == first.end()) {
      differences.push_back({field(key), "absent", Shown(value)});
    } else if (found->is_object() && value.is_object()) {
      ListDifferences(*found, value, field(key), differences);
    } else if (*found != value) {
      differences.push_back({field(key), Shown(*found), Shown(value)});
    }
  }
  for (const auto& [key, value] : first.items()) {
    if (!second.contains(key)) differences.push_back({field(key), Shown(value), "absent"});
  }
}

}  // namespace

std::string DescribeDifferences(const json& first, std::string_view first_name, const json& second,
                                std::string_view second_name) {
  std::vector<Difference> differences;
  ListDifferences(first, second, "", differences);
  std::string text;
  for (std::size_t i = 0; i < std::min(differences.size(), kNamedDifferences); ++i) {
    const Difference& difference = differences[i];
    text += fmt::format("{}{}: {} {}, {} {}", i == 0 ? "" : "; ", difference.field,
                        difference.first, first_name, difference.second, second_name);
  }
  if (differences.size() > kNamedDifferences) {
    text += fmt::format("; and {} more", differences.size() - kNamedDifferences);
  }
  return text;
}

}  // namespace dcn::output
