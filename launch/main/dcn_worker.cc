// dcn_worker: trains one model. worker_options.cc lists what it takes, worker_run.cc what it does.

#include <cstdio>
#include <exception>
#include <string>
#include <variant>

#include <fmt/core.h>

#include "common/log.h"
#include "launch/main/exit_code.h"
#include "launch/main/stop_signal.h"
#include "launch/main/worker_options.h"
#include "launch/main/worker_run.h"

namespace dcn::launch {
namespace {

int Fail(const Status& status) {
  fmt::print(stderr, "dcn_worker: {}\n", status.message());
  return ToExitCode(status.code());
}

int Main(int argc, char** argv) {
  StopSignal stop;
  const Result<WorkerCommand> command = ParseWorkerOptions(argc, argv);
  if (!command.ok()) return Fail(command.status());
  if (const auto* text = std::get_if<std::string>(&*command)) {
    fmt::print("{}", *text);
    return kExitDone;
  }
  const auto& options = std::get<WorkerOptions>(*command);
  if (Status status = SetUpLogging("dcn_worker", options.log_level); !status.ok()) {
    return Fail(status);
  }
  const Status status = RunWorker(options, stop);
  return status.ok() ? kExitDone : Fail(status);
}

}  // namespace
}  // namespace dcn::launch

int main(int argc, char** argv) {
  try {
    return dcn::launch::Main(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "dcn_worker: internal error: {}\n", error.what());
    return dcn::launch::kExitFailed;
  }
}
