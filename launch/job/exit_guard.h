// Ends the process when something that has no deadline of its own takes too long.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "common/named_thread.h"

namespace dcn::job {

/// From its construction to its destruction. Where that lasts longer than the timeout, says
/// `message` on stderr and ends the process with the exit code, at once: for calls of libraries
/// that cannot be interrupted (MPI's start and end, which wait for all ranks).
class ExitGuard {
 public:
  ExitGuard(std::chrono::milliseconds timeout, std::string message, int exit_code);
  ~ExitGuard();
  ExitGuard(const ExitGuard&) = delete;
  ExitGuard& operator=(const ExitGuard&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_over_ = false;  // guarded by mutex_
  std::unique_ptr<NamedThread> thread_;
};

}  // namespace dcn::job
