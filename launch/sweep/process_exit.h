// How a process ended, and whether it makes sense to start it again.
#pragma once

#include <string>

namespace dcn::sweep {

/// Of this project's programs (launch/main/exit_code.h, which stands above this room): anything
/// that no other code is for; wrong options or an unwritable output; a lost peer; stopped by a
/// signal.
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitLostPeer = 4;
inline constexpr int kExitStopped = 6;
/// Of mpirun, where it loses its daemon on another machine: that machine, or the way there.
inline constexpr int kExitLostDaemon = 205;

struct ProcessExit {
  int code = 0;    // its exit code, where it ended by itself
  int signal = 0;  // the signal that killed it, else 0
  friend bool operator==(const ProcessExit&, const ProcessExit&) = default;
};

/// The signal that killed the process, or one below it, which mpirun and shells report as the exit
/// code 128 + signal; 0 where there was none.
[[nodiscard]] int KillingSignal(const ProcessExit& exit);

/// Whether the cause can pass: a peer or a machine was lost, or a signal killed a process. A wrong
/// option or bad data would end the next attempt, too.
[[nodiscard]] bool MayPass(const ProcessExit& exit);

/// "ended with exit code 2", "was killed by signal 11 (Segmentation fault)", as it follows a name.
[[nodiscard]] std::string DescribeExit(const ProcessExit& exit);

/// What a program returns whose part ended so for good: 1 where a signal killed it, and a lost
/// machine is a lost peer.
[[nodiscard]] int FailureCode(const ProcessExit& exit);

}  // namespace dcn::sweep
