// How a program ends, in a number.
#pragma once

#include "common/status.h"

namespace dcn::launch {

/// The exit codes of every program.
enum ExitCode : int {
  kExitDone = 0,
  kExitFailed = 1,         // anything else
  kExitUsage = 2,          // wrong arguments or configuration, unwritable or foreign output
  kExitBadData = 3,        // input that is missing or malformed
  kExitLostPeer = 4,       // a server or collective was lost or timed out
  kExitBadCheckpoint = 5,  // a checkpoint that cannot be used
  kExitStopped = 6,        // by SIGINT or SIGTERM
};

/// The exit code for a failed (or good) status.
constexpr ExitCode ToExitCode(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return kExitDone;
    case StatusCode::kInvalidArgument:
    case StatusCode::kAlreadyExists:
      return kExitUsage;
    case StatusCode::kNotFound:
    case StatusCode::kDataLoss:
      return kExitBadData;
    case StatusCode::kUnavailable:
    case StatusCode::kDeadlineExceeded:
      return kExitLostPeer;
    case StatusCode::kFailedPrecondition:
      return kExitBadCheckpoint;
    case StatusCode::kCancelled:
      return kExitStopped;
    case StatusCode::kOutOfRange:
    case StatusCode::kInternal:
      return kExitFailed;
  }
  return kExitFailed;
}

}  // namespace dcn::launch
