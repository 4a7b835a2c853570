// HOST:PORT, as users write it and messages show it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/status.h"

namespace dcn::net {

/// A place to listen at or to connect to.
struct Address {
  std::string host;  // a name or a number; IPv6 without its brackets
  std::uint16_t port = 0;
  friend bool operator==(const Address&, const Address&) = default;

  /// "HOST:PORT", IPv6 numbers in brackets.
  [[nodiscard]] std::string ToString() const;
};

/// Reads "HOST:PORT" or "[IPV6]:PORT"; port 0 is fine.
/// kInvalidArgument: anything else; the message shows the text.
[[nodiscard]] Result<Address> ParseAddress(std::string_view text);

}  // namespace dcn::net
