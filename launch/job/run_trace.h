// The trace of a whole run: each rank records, rank 0 writes one file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <utility>

#include "common/status.h"
#include "common/trace.h"
#include "launch/job/host.h"
#include "worker/communicator/communicator.h"

namespace dcn::job {

class RunTrace {
 public:
  /// Called by all ranks, where training is about to begin. threads, shards: of this rank; their
  /// lanes are in that order. hosts: by rank. Clocks of ranks on rank 0's machine are the same;
  /// others are set by when the ranks meet here, which is off by the time of a message.
  /// Errors: those of Exchange.
  [[nodiscard]] static Result<RunTrace> Begin(int threads, std::size_t shards,
                                              std::span<const Host> hosts,
                                              comm::Communicator& communicator);

  [[nodiscard]] Trace& trace() { return *trace_; }

  /// Called by all ranks; rank 0 writes the file, and logs where it cannot. Errors: those of
  /// Exchange.
  [[nodiscard]] Status Write(const std::filesystem::path& path,
                             comm::Communicator& communicator) const;

 private:
  RunTrace(std::unique_ptr<Trace> trace, TraceEvent::TimePoint origin)
      : trace_(std::move(trace)), origin_(origin) {}

  std::unique_ptr<Trace> trace_;
  TraceEvent::TimePoint origin_;
};

}  // namespace dcn::job
