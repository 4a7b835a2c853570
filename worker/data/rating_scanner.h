// Reads all lines of a ratings file: a fast path for lines as the official files have them, and
// ParseRating (movielens_line.h), the definition, for every other line.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "worker/data/id_index.h"
#include "worker/data/movielens_line.h"

namespace dcn::data {

/// A rating with its user's number in the users file's index and its movie's in `movies`.
struct ScannedRating {
  std::uint32_t user = 0;
  std::uint32_t movie = 0;
  std::uint32_t rating = 0;  // 1 .. 5
};

struct ScannedRatings {
  IdIndex movies;
  std::vector<ScannedRating> ratings;  // in file order, at least one
};

/// Scans `text`, the whole file. ratings_name, users_name: for messages.
/// kDataLoss: the first line that is malformed, or whose user is not in `users`; an empty file.
Result<ScannedRatings> ScanRatings(MovieLensFormat format, std::string_view text,
                                   std::string_view ratings_name, const IdIndex& users,
                                   std::string_view users_name);

}  // namespace dcn::data
