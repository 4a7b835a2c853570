#include "launch/sweep/process_exit.h"

#include <csignal>
#include <cstring>

#include <fmt/format.h>

namespace dcn::sweep {
namespace {

constexpr int kSignalBase = 128;  // of exit codes that stand for a signal
constexpr int kLastSignal = 64;

}  // namespace

int KillingSignal(const ProcessExit& exit) {
  if (exit.signal != 0) return exit.signal;
  const int signal = exit.code - kSignalBase;
  return signal >= 1 && signal <= kLastSignal ? signal : 0;
}

bool MayPass(const ProcessExit& exit) {
  return KillingSignal(exit) != 0 || exit.code == kExitLostPeer || exit.code == kExitLostDaemon;
}

std::string DescribeExit(const ProcessExit& exit) {
  const int signal = KillingSignal(exit);
  if (exit.code == kExitLostDaemon) {
    return fmt::format("ended with exit code {}: mpirun lost a machine, or the way to it",
                       exit.code);
  }
  if (signal == 0) return fmt::format("ended with exit code {}", exit.code);
  const char* const hint =
      signal == SIGKILL ? ", as the kernel does when memory runs out: try fewer --slots" : "";
  if (exit.signal != 0) {
    return fmt::format("was killed by signal {} ({}){}", signal, ::strsignal(signal), hint);
  }
  return fmt::format("ended with exit code {}: a process was killed by signal {} ({}){}", exit.code,
                     signal, ::strsignal(signal), hint);
}

int FailureCode(const ProcessExit& exit) {
  if (KillingSignal(exit) != 0) return kExitFailed;
  return exit.code == kExitLostDaemon ? kExitLostPeer : exit.code;
}

}  // namespace dcn::sweep
