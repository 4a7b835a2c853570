// Ranks as processes of an MPI job (Open MPI 4.1, one thread that calls).
//
// Waiting is polling with back-off under a deadline: MPI's own blocking waits spin, starve the
// thread that serves shards, and never end when a rank is gone.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/status.h"
#include "worker/communicator/communicator.h"

namespace dcn::comm {

/// MPI from its start to its end, and the communicator over all ranks of the job. At most one a
/// process; made, used and destroyed by one thread.
class MpiSession final : public Communicator {
 public:
  /// Starts MPI. timeout: how long an exchange waits for other ranks. Makes a process of its own a
  /// job of one rank, which takes a while: call it only under a launcher (launch/job/launcher.h).
  /// kInternal: MPI was started before in this process, or grants too few threads.
  [[nodiscard]] static Result<std::unique_ptr<MpiSession>> Start(std::chrono::milliseconds timeout);

  /// Ends MPI, which waits for the other ranks' ends; aborts instead if an exchange failed.
  ~MpiSession() override;
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  /// As Start's timeout, from the next exchange on.
  void SetTimeout(std::chrono::milliseconds timeout) { timeout_ = timeout; }

  /// Asked now and then while an exchange waits for other ranks: an error ends it, which MPI itself
  /// would notice at its timeout only. Empty: nobody is asked.
  void SetWatch(std::function<Status()> watch) { watch_ = std::move(watch); }

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }

  [[nodiscard]] Status Exchange(std::span<const SendPiece> send,
                                std::span<const ReceivePiece> receive,
                                std::string_view what) override;

  /// Ends all processes of the job; mpirun returns exit_code. Does not return.
  [[noreturn]] void Abort(int exit_code) override;

  [[nodiscard]] std::uint64_t bytes_sent() const override { return bytes_sent_; }
  [[nodiscard]] std::uint64_t bytes_received() const override { return bytes_received_; }

  /// "Open MPI v4.1.4, …": for the list of versions.
  [[nodiscard]] static std::string LibraryVersion();

 private:
  struct Requests;  // keeps mpi.h out of this header

  explicit MpiSession(std::chrono::milliseconds timeout);
  Status StartPieces(std::span<const SendPiece> send, std::span<const ReceivePiece> receive,
                     std::string_view what);
  Status Wait(std::string_view what);
  Status CheckEnded(std::size_t part_index, std::size_t status_index, int code,
                    std::string_view what);
  [[nodiscard]] Status Overdue(std::string_view what) const;

  std::chrono::milliseconds timeout_;
  std::function<Status()> watch_;
  int rank_ = 0;
  int size_ = 1;
  bool is_broken_ = false;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
  std::unique_ptr<Requests> requests_;
};

}  // namespace dcn::comm
