#include "worker/data/movielens_line.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <limits>
#include <system_error>

#include <fmt/format.h>

namespace dcn::data {
namespace {

constexpr std::size_t kMaxTextBytes = 64;        // of an occupation or zip code
constexpr std::uint64_t kMaxAge = 150;           // years
constexpr std::uint64_t kMaxTime = 99999999999;  // seconds; far enough away

// The layout of one kind of line.
struct LineLayout {
  std::string_view separator;
  std::size_t fields;
  std::string_view example;
};
constexpr LineLayout kRatingLayouts[] = {
    {"::", 4, "UserID::MovieID::Rating::Timestamp"},
    {"\t", 4, "user<TAB>movie<TAB>rating<TAB>timestamp"},
};
constexpr LineLayout kUserLayouts[] = {
    {"::", 5, "UserID::Gender::Age::Occupation::Zip-code"},
    {"|", 5, "user|age|gender|occupation|zip"},
};
constexpr std::size_t kMaxFields = 5;
using Fields = std::array<std::string_view, kMaxFields>;

// Bytes that no text file holds. Latin-1's letters start at 0xA0.
bool IsControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || (byte >= 0x7F && byte < 0xA0);
}

Status CheckText(std::string_view line, const LinePlace& place) {
  const std::string_view start = line.substr(0, kMaxLineBytes);
  const auto control = std::find_if(start.begin(), start.end(), IsControl);
  if (control != start.end()) {
    return LineError(place, "text",
                     fmt::format("byte 0x{:02x} in column {}", static_cast<unsigned char>(*control),
                                 control - start.begin() + 1));
  }
  if (line.size() > kMaxLineBytes) {
    return LineError(place, fmt::format("a line of at most {} bytes", kMaxLineBytes),
                     fmt::format("{} bytes that start {}", line.size(), Quoted(line)));
  }
  return Status();
}

Status SplitFields(const LineLayout& layout, std::string_view line, const LinePlace& place,
                   Fields& fields) {
  DCN_RETURN_IF_ERROR(CheckText(line, place));
  const std::string expected = fmt::format("{} fields {}", layout.fields, layout.example);
  if (line.empty()) return LineError(place, expected, "an empty line");
  std::size_t count = 0;
  for (std::string_view rest = line;; ++count) {
    const std::size_t end = rest.find(layout.separator);
    if (count < kMaxFields) fields[count] = rest.substr(0, end);
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + layout.separator.size());
  }
  if (++count != layout.fields) {
    return LineError(place, expected, fmt::format("{} in {}", count, Quoted(line)));
  }
  return Status();
}

// Decimal digits only, without leading zeros, within [low, high].
Status ParseNumber(std::string_view text, std::string_view what, std::uint64_t low,
                   std::uint64_t high, const LinePlace& place, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  const bool has_leading_zero = text.size() > 1 && text.front() == '0';
  if (!is_number || has_leading_zero || number < low || number > high) {
    return LineError(place, fmt::format("{} ({} to {})", what, low, high), Quoted(text));
  }
  return Status();
}

Status ParseId(std::string_view text, std::string_view what, const LinePlace& place,
               std::uint32_t& id) {
  std::uint64_t number = 0;
  DCN_RETURN_IF_ERROR(
      ParseNumber(text, what, 1, std::numeric_limits<std::uint32_t>::max(), place, number));
  id = static_cast<std::uint32_t>(number);
  return Status();
}

Status ParseAge(MovieLensFormat format, std::string_view text, const LinePlace& place,
                std::uint32_t& bucket) {
  if (format == MovieLensFormat::kMl1m) {
    for (const std::uint32_t age : kAgeBuckets) {
      bucket = age;
      if (text == fmt::format_int(age).c_str()) return Status();
    }
    return LineError(place, "an age code 1, 18, 25, 35, 45, 50 or 56", Quoted(text));
  }
  std::uint64_t years = 0;
  DCN_RETURN_IF_ERROR(ParseNumber(text, "an age in years", 1, kMaxAge, place, years));
  bucket = *std::prev(std::upper_bound(std::begin(kAgeBuckets), std::end(kAgeBuckets), years));
  return Status();
}

// Latin-1 to UTF-8. Sorting by bytes is the same in both.
Status ParseText(std::string_view text, std::string_view what, const LinePlace& place,
                 std::string& utf8) {
  if (text.empty() || text.size() > kMaxTextBytes) {
    return LineError(place, fmt::format("{} of 1 to {} characters", what, kMaxTextBytes),
                     Quoted(text));
  }
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      utf8.push_back(c);
    } else {
      utf8.push_back(static_cast<char>(0xC0 | (byte >> 6)));
      utf8.push_back(static_cast<char>(0x80 | (byte & 0x3F)));
    }
  }
  return Status();
}

}  // namespace

Status LineError(const LinePlace& place, std::string_view expected, std::string_view found) {
  return Error(StatusCode::kDataLoss, "{}:{}: expected {}, found {}", place.file, place.line,
               expected, found);
}

std::string Quoted(std::string_view text) {
  constexpr std::size_t kShown = 40;
  std::string quoted = "\"";
  for (const char c : text.substr(0, kShown)) {
    if (c == '"' || c == '\\') {
      quoted.append({'\\', c});
    } else if (c >= 0x20 && c < 0x7F) {
      quoted.push_back(c);
    } else {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return quoted + (text.size() > kShown ? "\"..." : "\"");
}

bool LineReader::Next(std::string_view& line) {
  if (rest_.empty()) return false;
  const std::size_t end = rest_.find('\n');
  line = rest_.substr(0, end);
  rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  ++line_number_;
  return true;
}

Result<RatingLine> ParseRating(MovieLensFormat format, std::string_view line,
                               const LinePlace& place) {
  Fields fields;
  DCN_RETURN_IF_ERROR(
      SplitFields(kRatingLayouts[static_cast<std::size_t>(format)], line, place, fields));
  RatingLine rating;
  DCN_RETURN_IF_ERROR(ParseId(fields[0], "a user id", place, rating.user));
  DCN_RETURN_IF_ERROR(ParseId(fields[1], "a movie id", place, rating.movie));
  if (fields[2].size() != 1 || fields[2][0] < '1' || fields[2][0] > '5') {
    return LineError(place, "a rating 1, 2, 3, 4 or 5", Quoted(fields[2]));
  }
  rating.rating = static_cast<std::uint32_t>(fields[2][0] - '0');
  std::uint64_t time = 0;
  DCN_RETURN_IF_ERROR(ParseNumber(fields[3], "a timestamp in seconds", 0, kMaxTime, place, time));
  return rating;
}

Result<UserLine> ParseUser(MovieLensFormat format, std::string_view line, const LinePlace& place) {
  Fields fields;
  DCN_RETURN_IF_ERROR(
      SplitFields(kUserLayouts[static_cast<std::size_t>(format)], line, place, fields));
  const bool gender_first = format == MovieLensFormat::kMl1m;
  const std::string_view gender = fields[gender_first ? 1 : 2];
  const std::string_view age = fields[gender_first ? 2 : 1];
  UserLine user;
  DCN_RETURN_IF_ERROR(ParseId(fields[0], "a user id", place, user.user));
  if (gender != "M" && gender != "F") return LineError(place, "a gender M or F", Quoted(gender));
  user.is_male = gender == "M";
  DCN_RETURN_IF_ERROR(ParseAge(format, age, place, user.age_bucket));
  DCN_RETURN_IF_ERROR(ParseText(fields[3], "an occupation", place, user.occupation));
  DCN_RETURN_IF_ERROR(ParseText(fields[4], "a zip code", place, user.zip));
  return user;
}

}  // namespace dcn::data
