#include "worker/data/rating_scanner.h"

#include <algorithm>
#include <cstddef>

#include <fmt/core.h>

namespace dcn::data {
namespace {

// A line that the fast path takes is shorter than this: two ids of nine digits, one rating, a
// timestamp of ten digits, three separators, CR and LF.
constexpr std::size_t kFastLineBytes = 64;

// Moves past one to `max_digits` digits that do not start with 0; false: something else is there.
bool ReadNumber(const char*& at, int max_digits, std::uint32_t& number) {
  auto digit = static_cast<std::uint32_t>(*at - '0');
  if (digit - 1 > 8) return false;
  number = 0;
  for (int digits = 0; digit <= 9; digit = static_cast<std::uint32_t>(*at - '0')) {
    if (++digits > max_digits) return false;
    number = 10 * number + digit;
    ++at;
  }
  return true;
}

template <MovieLensFormat kFormat>
bool SkipSeparator(const char*& at) {
  if constexpr (kFormat == MovieLensFormat::kMl1m) {
    if (at[0] != ':' || at[1] != ':') return false;
    at += 2;
  } else {
    if (*at++ != '\t') return false;
  }
  return true;
}

// Parses the line at `at` and moves past it. False: the line is not of the common kind, and `at` is
// anywhere in it. REQUIRES: kFastLineBytes readable bytes.
template <MovieLensFormat kFormat>
bool ReadFastLine(const char*& at, RatingLine& line) {
  constexpr int kIdDigits = 9;  // fits 32 bits; the rare longer ones are ParseRating's
  std::uint32_t time = 0;
  if (!ReadNumber(at, kIdDigits, line.user) || !SkipSeparator<kFormat>(at)) return false;
  if (!ReadNumber(at, kIdDigits, line.movie) || !SkipSeparator<kFormat>(at)) return false;
  line.rating = static_cast<std::uint32_t>(*at++ - '0');
  if (line.rating - 1 > 4 || !SkipSeparator<kFormat>(at)) return false;
  constexpr int kTimeDigits = 10;  // may wrap around: only its being a number matters
  if (!ReadNumber(at, kTimeDigits, time)) return false;
  if (*at == '\r') ++at;
  return *at++ == '\n';
}

template <MovieLensFormat kFormat>
Result<ScannedRatings> Scan(std::string_view text, std::string_view ratings_name,
                            const IdIndex& users, std::string_view users_name) {
  constexpr std::size_t kShortestLine = 8;  // three ids or ratings, separators, a time, LF
  const auto line_ends = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  ScannedRatings scanned;
  scanned.ratings.reserve(std::min(line_ends, text.size() / kShortestLine) + 1);

  LineReader reader(text);
  while (!reader.rest().empty()) {
    RatingLine line;
    const std::string_view rest = reader.rest();
    const char* at = rest.data();
    if (rest.size() >= kFastLineBytes && ReadFastLine<kFormat>(at, line)) [[likely]] {
      reader.SkipTo(rest.substr(static_cast<std::size_t>(at - rest.data())), 1);
    } else {
      std::string_view slow_line;
      reader.Next(slow_line);
      DCN_ASSIGN_OR_RETURN(line,
                           ParseRating(kFormat, slow_line, {ratings_name, reader.line_number()}));
    }
    const std::uint32_t user = users.Find(line.user);
    if (user == IdIndex::kAbsent) [[unlikely]] {
      return LineError({ratings_name, reader.line_number()},
                       fmt::format("a user of {}", users_name), fmt::format("user {}", line.user));
    }
    scanned.ratings.push_back(
        {.user = user, .movie = scanned.movies.FindOrAdd(line.movie), .rating = line.rating});
  }
  if (scanned.ratings.empty()) {
    return LineError({ratings_name, 1}, "at least one rating", "an empty file");
  }
  return scanned;
}

}  // namespace

Result<ScannedRatings> ScanRatings(MovieLensFormat format, std::string_view text,
                                   std::string_view ratings_name, const IdIndex& users,
                                   std::string_view users_name) {
  return format == MovieLensFormat::kMl1m
             ? Scan<MovieLensFormat::kMl1m>(text, ratings_name, users, users_name)
             : Scan<MovieLensFormat::kMl100k>(text, ratings_name, users, users_name);
}

}  // namespace dcn::data
