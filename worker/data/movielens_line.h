// One line of a MovieLens file: a rating or a user.
//
// Text is Latin-1, lines end with LF or CRLF. Only what the official files contain is accepted; all
// else is kDataLoss with "<file>:<line>: expected …, found …", so that a damaged file never trains.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/status.h"

namespace dcn::data {

/// ml-1m: ratings.dat `user::movie::rating::time`, users.dat `user::gender::age::occupation::zip`.
/// ml-100k: u.data `user<TAB>movie<TAB>rating<TAB>time`, u.user `user|age|gender|occupation|zip`.
enum class MovieLensFormat { kMl1m, kMl100k };

/// No line of a MovieLens ratings or users file comes near this.
inline constexpr std::size_t kMaxLineBytes = 256;

/// Lower bounds of the age buckets. ml-1m's ages are these numbers, ml-100k's are years.
inline constexpr std::uint32_t kAgeBuckets[] = {1, 18, 25, 35, 45, 50, 56};

struct RatingLine {
  std::uint32_t user = 0;    // >= 1
  std::uint32_t movie = 0;   // >= 1
  std::uint32_t rating = 0;  // 1 .. 5
};

struct UserLine {
  std::uint32_t user = 0;  // >= 1
  bool is_male = false;
  std::uint32_t age_bucket = 0;  // one of kAgeBuckets
  std::string occupation;        // UTF-8, not empty
  std::string zip;               // UTF-8, not empty
};

/// A line's place, for messages.
struct LinePlace {
  std::string_view file;
  std::size_t line = 0;  // from 1
};

/// kDataLoss "<file>:<line>: expected <expected>, found <found>".
Status LineError(const LinePlace& place, std::string_view expected, std::string_view found);

/// `text` in quotes, at most 40 bytes of it, bytes that are not printable ASCII as \xNN.
std::string Quoted(std::string_view text);

/// Splits a file into lines, without their line ends. The last line may lack its line end.
class LineReader {
 public:
  explicit LineReader(std::string_view text) : rest_(text) {}

  /// False at the end of the file.
  bool Next(std::string_view& line);
  /// The number of the line that Next gave last, from 1; 0 before the first.
  [[nodiscard]] std::size_t line_number() const { return line_number_; }
  /// What Next has not given yet.
  [[nodiscard]] std::string_view rest() const { return rest_; }
  /// Goes on at `rest`, a suffix of rest() that starts `lines` lines later.
  void SkipTo(std::string_view rest, std::size_t lines) {
    rest_ = rest;
    line_number_ += lines;
  }

 private:
  std::string_view rest_;
  std::size_t line_number_ = 0;
};

/// Parses one line without its line end.
Result<RatingLine> ParseRating(MovieLensFormat format, std::string_view line,
                               const LinePlace& place);
Result<UserLine> ParseUser(MovieLensFormat format, std::string_view line, const LinePlace& place);

}  // namespace dcn::data
