#include "launch/job/run_trace.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "worker/communicator/collectives.h"
#include "worker/export/trace_file.h"

namespace dcn::job {
namespace {

using Clock = std::chrono::steady_clock;

// Of a lane: about 10,000 steps, and a file that can still be opened.
constexpr std::size_t kCapacity = 200'000;

}  // namespace

Result<RunTrace> RunTrace::Begin(int threads, std::size_t shards, std::span<const Host> hosts,
                                 comm::Communicator& communicator) {
  std::vector<std::string> lanes;
  for (int thread = 0; thread < threads; ++thread) {
    lanes.push_back(fmt::format("thread {}", thread));
  }
  for (std::size_t shard = 0; shard < shards; ++shard) {
    lanes.push_back(fmt::format("shard {}", shard));
  }
  DCN_RETURN_IF_ERROR(comm::Barrier(communicator, "beginning the trace"));
  TraceEvent::TimePoint origin = Clock::now();
  DCN_ASSIGN_OR_RETURN(
      const std::string first,
      comm::BroadcastText(communicator, fmt::format("{}", origin.time_since_epoch().count()),
                          "setting the trace's clocks"));
  if (hosts[static_cast<std::size_t>(communicator.rank())].kernel == hosts[0].kernel) {
    origin = TraceEvent::TimePoint(Clock::duration(std::stoll(first)));
  }
  return RunTrace(std::make_unique<Trace>(std::move(lanes), kCapacity), origin);
}

Status RunTrace::Write(const std::filesystem::path& path, comm::Communicator& communicator) const {
  DCN_ASSIGN_OR_RETURN(
      const std::vector<std::string> texts,
      comm::GatherText(communicator, output::TraceText(*trace_, origin_), "gathering the trace"));
  if (trace_->left_out() > 0) {
    spdlog::warn("{} events at the end of the run did not fit into the trace", trace_->left_out());
  }
  if (communicator.rank() != 0) return Status();
  // What was trained is worth more than its trace.
  const Status written = output::WriteChromeTrace(path, texts);
  if (!written.ok()) spdlog::error("no trace: {}", written.message());
  return Status();
}

}  // namespace dcn::job
