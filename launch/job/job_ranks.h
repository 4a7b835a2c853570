// The ranks of a run: those of an MPI job under a launcher, or this process alone.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/status.h"
#include "worker/communicator/communicator.h"

namespace dcn::job {

/// How long ranks wait for one another outside of training: while others load data or restore a
/// checkpoint, rank 0 reads the trained parameters or writes the results.
inline constexpr std::chrono::minutes kPatience{10};

/// At most one a process; used by one thread.
class JobRanks {
 public:
  /// Starts MPI where a launcher started this process. Exchanges have kPatience first. program: who
  /// speaks. timeout: until all ranks must be there; else the process ends with kExitLostPeer's
  /// code, since MPI's start cannot be interrupted.
  /// kInvalidArgument: the launcher speaks of several processes, and MPI sees one only.
  /// Else the errors of MpiSession::Start.
  [[nodiscard]] static Result<std::unique_ptr<JobRanks>> Join(const std::string& program,
                                                              std::chrono::milliseconds timeout);

  virtual ~JobRanks() = default;

  [[nodiscard]] virtual comm::Communicator& communicator() = 0;
  [[nodiscard]] int rank() { return communicator().rank(); }
  [[nodiscard]] int size() { return communicator().size(); }
  [[nodiscard]] bool is_first() { return rank() == 0; }
  /// How this rank signs: "dcn_worker", or "dcn_worker[2]" among several.
  [[nodiscard]] std::string SignedName(std::string_view program);

  /// How long an exchange waits for other ranks from now on.
  virtual void SetTimeout(std::chrono::milliseconds timeout) = 0;
  /// Asked while an exchange waits: an error ends it. Empty: nobody is asked.
  virtual void SetWatch(std::function<Status()> watch) = 0;
  /// "Open MPI v4.1.4"; empty alone.
  [[nodiscard]] virtual std::string mpi_version() const = 0;
};

}  // namespace dcn::job
