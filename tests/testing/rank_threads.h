// Runs the ranks of a run as threads of this process.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "common/named_thread.h"

namespace dcn::testing {

/// Calls body(rank) for every rank, side by side, and returns when all have ended. Throws
/// std::runtime_error with the texts of the exceptions that left it.
inline void RunRanks(int ranks, const std::function<void(int rank)>& body) {
  std::vector<std::string> errors(static_cast<std::size_t>(ranks));
  std::vector<std::unique_ptr<NamedThread>> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.push_back(std::make_unique<NamedThread>(
        "rank " + std::to_string(rank), [&body, rank] { body(rank); },
        [&errors, rank](std::string_view what) { errors[static_cast<std::size_t>(rank)] = what; }));
  }
  threads.clear();  // waits
  for (int rank = 0; rank < ranks; ++rank) {
    const std::string& error = errors[static_cast<std::size_t>(rank)];
    if (!error.empty()) throw std::runtime_error("rank " + std::to_string(rank) + ": " + error);
  }
}

}  // namespace dcn::testing
