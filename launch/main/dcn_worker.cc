// dcn_worker: trains one model. worker_options.cc lists what it takes, worker_run.cc what it does.

#include <cstdio>
#include <string>
#include <variant>

#include <fmt/core.h>

#include "common/log.h"
#include "launch/main/exit_code.h"
#include "launch/main/program.h"
#include "launch/main/stop_signal.h"
#include "launch/main/worker_options.h"
#include "launch/main/worker_run.h"

namespace dcn::launch {
namespace {

constexpr const char* kName = "dcn_worker";

int Main(int argc, char** argv) {
  StopSignal stop;
  const Result<WorkerCommand> command = ParseWorkerOptions(argc, argv);
  if (!command.ok()) return Fail(kName, command.status());
  if (const auto* text = std::get_if<std::string>(&*command)) {
    fmt::print("{}", *text);
    return kExitDone;
  }
  const auto& options = std::get<WorkerOptions>(*command);
  if (Status status = SetUpLogging(kName, options.log_level); !status.ok()) {
    return Fail(kName, status);
  }
  const Status status = RunWorker(options, stop);
  return status.ok() ? kExitDone : Fail(kName, status);
}

}  // namespace
}  // namespace dcn::launch

int main(int argc, char** argv) {
  return dcn::launch::RunProgram(dcn::launch::kName, dcn::launch::Main, argc, argv);
}
