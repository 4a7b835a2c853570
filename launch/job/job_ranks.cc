#include "launch/job/job_ranks.h"

#include <utility>

#include <fmt/format.h>

#include "launch/job/exit_guard.h"
#include "launch/job/launcher.h"
#include "launch/main/exit_code.h"
#include "worker/communicator/local.h"
#include "worker/communicator/mpi.h"

namespace dcn::job {
namespace {

// How long ranks may take to end once rank 0 has: what they hold is given back.
constexpr std::chrono::seconds kLastRanksTake{60};

class Alone final : public JobRanks {
 public:
  comm::Communicator& communicator() override { return communicator_; }
  void SetTimeout(std::chrono::milliseconds /*timeout*/) override {}
  void SetWatch(std::function<Status()> /*watch*/) override {}
  [[nodiscard]] std::string mpi_version() const override { return {}; }

 private:
  comm::SingleCommunicator communicator_;
};

class OfMpi final : public JobRanks {
 public:
  OfMpi(std::string program, std::unique_ptr<comm::MpiSession> session)
      : program_(std::move(program)), session_(std::move(session)) {}
  ~OfMpi() override {
    // MPI's end waits for all ranks. Rank 0 writes the results while the others are here already;
    // when it comes, they have nothing left to do.
    const std::chrono::seconds patience = session_->rank() == 0 ? kLastRanksTake : kPatience;
    const ExitGuard guard(patience,
                          fmt::format("{}: rank {}: the other ranks have not ended within {} s",
                                      program_, session_->rank(), patience.count()),
                          launch::kExitLostPeer);
    session_.reset();
  }
  OfMpi(const OfMpi&) = delete;
  OfMpi& operator=(const OfMpi&) = delete;

  comm::Communicator& communicator() override { return *session_; }
  void SetTimeout(std::chrono::milliseconds timeout) override { session_->SetTimeout(timeout); }
  void SetWatch(std::function<Status()> watch) override { session_->SetWatch(std::move(watch)); }
  [[nodiscard]] std::string mpi_version() const override {
    return comm::MpiSession::LibraryVersion();
  }

 private:
  const std::string program_;
  std::unique_ptr<comm::MpiSession> session_;
};

}  // namespace

Result<std::unique_ptr<JobRanks>> JobRanks::Join(const std::string& program,
                                                 std::chrono::milliseconds timeout) {
  if (!IsUnderLauncher()) {
    DCN_RETURN_IF_ERROR(CheckLauncherSize(1));
    return std::unique_ptr<JobRanks>(std::make_unique<Alone>());
  }
  std::unique_ptr<comm::MpiSession> session;
  {
    const ExitGuard guard(
        timeout,
        fmt::format(
            "{}: not all ranks are there within {} ms (--connect-timeout): MPI did not start",
            program, timeout.count()),
        launch::kExitLostPeer);
    DCN_ASSIGN_OR_RETURN(session, comm::MpiSession::Start(kPatience));
  }
  const int size = session->size();
  std::unique_ptr<JobRanks> ranks = std::make_unique<OfMpi>(program, std::move(session));
  DCN_RETURN_IF_ERROR(CheckLauncherSize(size));
  return ranks;
}

std::string JobRanks::SignedName(std::string_view program) {
  return size() == 1 ? std::string(program) : fmt::format("{}[{}]", program, rank());
}

}  // namespace dcn::job
