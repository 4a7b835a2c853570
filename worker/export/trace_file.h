// A run's trace in Chrome's trace event format: a JSON file that Perfetto (ui.perfetto.dev) and
// chrome://tracing open. One process a rank, one row a lane.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "common/status.h"
#include "common/trace.h"

namespace dcn::output {

/// One rank's events as JSON, times relative to `origin`: how they travel to the rank that writes
/// them.
[[nodiscard]] std::string TraceText(const Trace& trace, TraceEvent::TimePoint origin);

/// Writes what TraceText made of each rank's trace, by rank, atomically. Times are in microseconds
/// and the same moment is the same number on all ranks, as far as their origins are.
/// kDataLoss: a text that TraceText did not make. Else the errors of WriteFileAtomically.
[[nodiscard]] Status WriteChromeTrace(const std::filesystem::path& path,
                                      std::span<const std::string> ranks);

}  // namespace dcn::output
