// dcn_worker: trains one model. worker_options.cc lists what it takes, worker_run.cc what it does.

#include <cstdio>
#include <memory>
#include <string>
#include <variant>

#include <fmt/core.h>
#include <spdlog/spdlog.h>

#include "common/clock.h"
#include "common/log.h"
#include "launch/job/agreement.h"
#include "launch/job/job_ranks.h"
#include "launch/main/checkpoint_text.h"
#include "launch/main/exit_code.h"
#include "launch/main/program.h"
#include "launch/main/run_stop.h"
#include "launch/main/worker_options.h"
#include "launch/main/worker_run.h"
#include "launch/main/worker_setup.h"
#include "worker/export/step_file.h"

namespace dcn::launch {
namespace {

constexpr const char* kName = "dcn_worker";

// Whether ranks may be waiting for one another: an error that need not be the same on all of them.
bool IsOfOneRank(const Status& status) {
  switch (status.code()) {
    case StatusCode::kUnavailable:
    case StatusCode::kDeadlineExceeded:
    case StatusCode::kInternal:
      return true;
    default:
      return false;
  }
}

// Says why, and ends this rank and all others.
int EndAll(job::JobRanks& ranks, const Status& status) {
  const int code = Fail(ranks.SignedName(kName), status);
  std::fflush(nullptr);
  if (ranks.size() > 1) ranks.communicator().Abort(code);
  return code;
}

// All ranks ended alike, and one says why.
int EndTogether(job::JobRanks& ranks, const Status& status) {
  if (IsOfOneRank(status)) return EndAll(ranks, status);
  return ranks.is_first() ? Fail(kName, status) : ToExitCode(status.code());
}

// Ranks but the first speak up only where something is wrong.
Status SetUpRankLogging(job::JobRanks& ranks, const std::string& level) {
  const bool is_quiet = !ranks.is_first() && level == "info";
  return SetUpLogging(ranks.SignedName(kName), is_quiet ? "warning" : level);
}

// Rank 0's; a run whose steps nobody can see is as good as any.
output::StepFile OpenStepFile(job::JobRanks& ranks, const WorkerOptions& options) {
  if (options.step_file.empty() || !ranks.is_first()) return {};
  Result<output::StepFile> file = output::StepFile::Open(options.step_file);
  if (file.ok()) return *std::move(file);
  spdlog::warn("the steps of this run are not told: {}", file.status().message());
  return {};
}

int RunRank(job::JobRanks& ranks, const WorkerOptions& options, const Stopwatch& since_start,
            RunStop& stop) {
  output::StepFile step_file = OpenStepFile(ranks, options);
  Result<WorkerSetup> setup = SetUpWorker(options, ranks, since_start);
  if (!setup.ok()) return EndTogether(ranks, setup.status());
  const Status status = RunWorker(*setup, ranks, stop, step_file);
  if (status.ok()) return kExitDone;
  return status.code() == StatusCode::kCancelled ? EndTogether(ranks, status)
                                                 : EndAll(ranks, status);
}

// Whether the options of all ranks make sense, and ask for the same kind of thing.
Status AgreeOnCommand(job::JobRanks& ranks, const Result<WorkerCommand>& command) {
  Status status = command.status();
  const auto* const options = command.ok() ? std::get_if<WorkerOptions>(&*command) : nullptr;
  if (options != nullptr) status = SetUpRankLogging(ranks, options->log_level);
  DCN_RETURN_IF_ERROR(
      job::AgreeOnStatus(ranks.communicator(), status, "reading the options of all ranks"));
  return job::AgreeOnValues(ranks.communicator(), {{"trains", options != nullptr}});
}

int Main(int argc, char** argv) {
  const Stopwatch since_start;
  RunStop stop;  // before MPI starts threads
  const Result<WorkerCommand> command = ParseWorkerOptions(argc, argv);
  const auto* const options = command.ok() ? std::get_if<WorkerOptions>(&*command) : nullptr;
  if (options != nullptr && !options->inspected_checkpoint.empty()) {
    const Result<std::string> text = DescribeCheckpoint(options->inspected_checkpoint);
    if (!text.ok()) return Fail(kName, text.status());
    fmt::print("{}", *text);
    return kExitDone;
  }
  const double timeout = (options != nullptr ? *options : WorkerOptions{}).connect_timeout;
  const Result<std::unique_ptr<job::JobRanks>> joined =
      job::JobRanks::Join(kName, ToMilliseconds(timeout));
  if (!joined.ok()) return Fail(kName, joined.status());
  job::JobRanks& ranks = **joined;
  if (Status agreed = AgreeOnCommand(ranks, command); !agreed.ok()) {
    return EndTogether(ranks, agreed);
  }
  if (options != nullptr) return RunRank(ranks, *options, since_start, stop);
  if (ranks.is_first()) fmt::print("{}", std::get<std::string>(*command));
  return kExitDone;
}

}  // namespace
}  // namespace dcn::launch

int main(int argc, char** argv) {
  return dcn::launch::RunProgram(dcn::launch::kName, dcn::launch::Main, argc, argv);
}
