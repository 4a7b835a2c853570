// Addresses at which other machines may reach this one.
#pragma once

#include <string>
#include <vector>

#include "common/status.h"

namespace dcn::net {

/// Numbers of all network interfaces that are up, without loopback and link-local ones, IPv4
/// first, each in the kernel's order; may be empty. kInternal: the kernel does not say.
[[nodiscard]] Result<std::vector<std::string>> InterfaceAddresses();

}  // namespace dcn::net
