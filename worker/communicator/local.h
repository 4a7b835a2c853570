// Ranks in one process: a group of threads, each with its own communicator; or one rank alone.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "worker/communicator/communicator.h"

namespace dcn::comm {

/// What the ranks of one process share. Each rank's communicator may be used from another thread.
class LocalGroup {
 public:
  /// ranks: >= 1. timeout: how long an exchange waits for the others.
  LocalGroup(int ranks, std::chrono::milliseconds timeout);
  ~LocalGroup();
  LocalGroup(const LocalGroup&) = delete;
  LocalGroup& operator=(const LocalGroup&) = delete;

  /// The communicator of one rank; lives as long as the group.
  [[nodiscard]] Communicator& communicator(int rank);

 private:
  class Member;

  // What one rank lays out for an exchange.
  struct Offer {
    std::span<const SendPiece> pieces;
    std::uint64_t round = 0;  // exchanges that this rank has begun
    std::uint64_t taken = 0;  // exchanges in which this rank has taken what it gets
  };

  // Waits, locked, until `is_there(rank)` holds for all ranks.
  template <typename IsThere>
  Status WaitForAll(std::unique_lock<std::mutex>& lock, std::string_view what, IsThere is_there);

  const std::chrono::milliseconds timeout_;
  std::mutex mutex_;
  std::condition_variable changed_;  // guarded by mutex_, as is all below
  std::vector<Offer> offers_;        // by rank
  bool is_aborted_ = false;
  std::vector<std::unique_ptr<Member>> members_;
};

/// A rank alone: size() is 1, and exchanges are copies.
class SingleCommunicator final : public Communicator {
 public:
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int size() const override { return 1; }
  [[nodiscard]] Status Exchange(std::span<const SendPiece> send,
                                std::span<const ReceivePiece> receive,
                                std::string_view what) override;
  void Abort(int /*exit_code*/) override {}
  [[nodiscard]] std::uint64_t bytes_sent() const override { return 0; }
  [[nodiscard]] std::uint64_t bytes_received() const override { return 0; }
};

}  // namespace dcn::comm
