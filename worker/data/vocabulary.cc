#include "worker/data/vocabulary.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

#include "common/check.h"

namespace dcn::data {
namespace {

std::optional<std::int64_t> ParseInteger(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool IntegerLess(std::string_view a, std::string_view b) {
  return ParseInteger(a) < ParseInteger(b);
}

}  // namespace

Vocabulary MakeVocabulary(std::string feature, bool is_integer, std::vector<std::string> values) {
  if (is_integer) {
    for (const std::string& value : values) DCN_CHECK(ParseInteger(value).has_value());
    std::sort(values.begin(), values.end(), IntegerLess);
  } else {
    std::sort(values.begin(), values.end());
  }
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return {.feature = std::move(feature), .is_integer = is_integer, .values = std::move(values)};
}

std::uint32_t TableRow(const Vocabulary& vocabulary, std::string_view value) {
  const std::vector<std::string>& values = vocabulary.values;
  // An unparsable text orders before every integer and equals none: it is row 0, as it should be.
  const auto place = vocabulary.is_integer
                         ? std::lower_bound(values.begin(), values.end(), value, IntegerLess)
                         : std::lower_bound(values.begin(), values.end(), value);
  if (place == values.end() || *place != value) return 0;
  return static_cast<std::uint32_t>(place - values.begin()) + 1;
}

}  // namespace dcn::data
