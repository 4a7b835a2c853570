// What a test wants to happen to the frames that pass a proxy (tcp_proxy.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

namespace dcn::testing {

enum class Direction { kToServer, kToClient };

/// One frame on its way. Headers are not checked: what is no frame has a length all the same.
struct ProxiedFrame {
  std::uint64_t connection = 0;  // from 1, in the order in which they came
  Direction direction{};
  std::uint64_t number = 0;  // from 1, of this connection and direction
  std::uint16_t type = 0;    // as in the header
  std::size_t bytes = 0;     // with the header
};

/// What happens to a frame, in this order.
struct FrameFate {
  // It goes behind the next frame of its direction; where none comes within kHoldLimit, it goes by
  // itself. Of two in a row, the first one is held back.
  bool is_held_back = false;
  std::chrono::milliseconds delay{0};  // it, and what follows it in its direction, waits
  bool is_dropped = false;             // it is not passed on
  // One bit of it is the other way round: bit n % 8 of byte n / 8. Whoever gets such a frame is
  // expected to close the connection, so a connection has one flip at most: later ones are left
  // out. REQUIRES: a bit of the frame.
  std::optional<std::size_t> flipped_bit{};
  std::size_t piece_bytes = 0;              // it is sent in pieces of so many bytes; 0: at once
  std::chrono::milliseconds pause{0};       // between two pieces
  std::size_t bytes_per_second = 0;         // instead of both: about so many; 0: no limit
  std::optional<std::size_t> bytes_left{};  // so many bytes are sent, then both ends are closed
  // It is sent once more, whole, after so many later frames of its direction; 0: at once.
  std::optional<std::uint64_t> repeated_after{};
};

/// How long a frame that is held back waits for another one.
inline constexpr std::chrono::milliseconds kHoldLimit{20};

/// Called on the proxy's thread.
using FramePlan = std::function<FrameFate(const ProxiedFrame& frame)>;

}  // namespace dcn::testing
