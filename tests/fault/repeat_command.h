// How a fault test is repeated: each prints, before it begins, the command that does it, with the
// seed and whatever else of DCN_FAULT_… its environment has. Whoever links this prints it.
//
// repeat.sh, which that command calls, has no time limit, as ctest has.
#pragma once

#include <cstdint>

namespace dcn::testing {

/// A number from the environment; not a number there: throws std::invalid_argument.
std::uint64_t NumberFrom(const char* variable, std::uint64_t otherwise);

/// DCN_FAULT_SEED, or what was drawn when the program started. Of no matter to a test that draws
/// nothing.
std::uint64_t Seed();

}  // namespace dcn::testing
