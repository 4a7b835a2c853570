// Where a rank runs: which ranks share its host and its processors.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace dcn::job {

/// One rank's place.
struct Host {
  std::string kernel;                    // the machine, from its start to its end
  std::string network;                   // of the machine: containers have their own
  std::vector<int> processors;           // that this process may use; ascending
  std::vector<int> launcher_processors;  // that the process that started it may use; ascending
  friend bool operator==(const Host&, const Host&) = default;

  [[nodiscard]] std::string ToText() const;
  /// kUnavailable: not what ToText makes; a rank that says so is of no use.
  [[nodiscard]] static Result<Host> Parse(std::string_view text);
};

/// Of this process.
[[nodiscard]] Host DescribeHost();

/// Whether 127.0.0.1 is the same for all ranks.
[[nodiscard]] bool IsOneNetwork(std::span<const Host> hosts);

/// A rank among those of its host.
struct PlaceOnHost {
  int local_rank = 0;
  int ranks = 1;  // on the host
};

/// hosts: by rank.
[[nodiscard]] PlaceOnHost FindPlace(std::span<const Host> hosts, std::size_t rank);

/// Computing threads of a rank: the processors that it may use, shared evenly with the ranks that
/// may use some of the same; at least 1. hosts: by rank.
[[nodiscard]] int ThreadsOf(std::span<const Host> hosts, std::size_t rank);

/// What to tell a user whose ranks on this rank's host are pinned to fewer processors than their
/// launcher may use; nothing where all are in use.
[[nodiscard]] std::optional<std::string> PinningAdvice(std::span<const Host> hosts,
                                                       std::size_t rank);

}  // namespace dcn::job
