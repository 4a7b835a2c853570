// What a run ran on, as recorded with its result.
#pragma once

#include <cstdint>

#include "worker/export/result.h"

namespace dcn::output {

/// This machine, as far as the operating system tells: an empty model or 0 bytes otherwise.
MachineSummary DescribeMachine();

/// The most memory that this process has held so far, in bytes.
std::uint64_t PeakRssBytes();

}  // namespace dcn::output
