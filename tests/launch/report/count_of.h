// How often a text occurs in another: for tests that look into a page.
#pragma once

#include <cstddef>
#include <string_view>

namespace dcn::testing {

/// Occurrences of `part` (not empty) in `text`, without overlaps.
inline std::size_t CountOf(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos;
       at += part.size()) {
    ++count;
  }
  return count;
}

}  // namespace dcn::testing
