#include "worker/communicator/local.h"

#include <string>

#include <fmt/ranges.h>

#include "common/check.h"
#include "worker/communicator/piece_copy.h"

namespace dcn::comm {

class LocalGroup::Member final : public Communicator {
 public:
  Member(LocalGroup& group, int rank) : group_(group), rank_(rank) {}

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return static_cast<int>(group_.offers_.size()); }
  [[nodiscard]] Status Exchange(std::span<const SendPiece> send,
                                std::span<const ReceivePiece> receive,
                                std::string_view what) override;
  void Abort(int exit_code) override;
  [[nodiscard]] std::uint64_t bytes_sent() const override { return bytes_sent_; }
  [[nodiscard]] std::uint64_t bytes_received() const override { return bytes_received_; }

 private:
  LocalGroup& group_;
  const int rank_;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
};

LocalGroup::LocalGroup(int ranks, std::chrono::milliseconds timeout) : timeout_(timeout) {
  DCN_CHECK_GE(ranks, 1);
  offers_.resize(static_cast<std::size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank) {
    members_.push_back(std::make_unique<Member>(*this, rank));
  }
}

LocalGroup::~LocalGroup() = default;

Communicator& LocalGroup::communicator(int rank) {
  return *members_.at(static_cast<std::size_t>(rank));
}

template <typename IsThere>
Status LocalGroup::WaitForAll(std::unique_lock<std::mutex>& lock, std::string_view what,
                              IsThere is_there) {
  const auto missing = [&] {
    std::vector<std::size_t> ranks;
    for (std::size_t q = 0; q < offers_.size(); ++q) {
      if (!is_there(offers_[q])) ranks.push_back(q);
    }
    return ranks;
  };
  const bool in_time =
      changed_.wait_for(lock, timeout_, [&] { return is_aborted_ || missing().empty(); });
  if (is_aborted_) {
    return Error(StatusCode::kUnavailable, "{}: another rank has given up", what);
  }
  if (in_time) return Status();
  return Error(StatusCode::kDeadlineExceeded, "{}: no answer from rank {} within {} ms", what,
               fmt::join(missing(), ", "), timeout_.count());
}

Status LocalGroup::Member::Exchange(std::span<const SendPiece> send,
                                    std::span<const ReceivePiece> receive, std::string_view what) {
  const auto own = static_cast<std::size_t>(rank_);
  auto& offers = group_.offers_;
  DCN_CHECK_EQ(send.size(), offers.size());
  DCN_CHECK_EQ(receive.size(), offers.size());
  std::unique_lock lock(group_.mutex_);
  const std::uint64_t round = ++offers[own].round;
  offers[own].pieces = send;
  group_.changed_.notify_all();
  DCN_RETURN_IF_ERROR(
      group_.WaitForAll(lock, what, [&](const Offer& offer) { return offer.round >= round; }));
  Status status;
  lock.unlock();  // offers stay as they are until all have taken
  for (std::size_t q = 0; q < offers.size() && status.ok(); ++q) {
    status = CopyPiece(offers[q].pieces[own], receive[q], static_cast<int>(q), rank_, what);
    if (q == own) continue;
    bytes_received_ += receive[q].size();
    bytes_sent_ += send[q].size();
  }
  lock.lock();
  offers[own].taken = round;
  group_.changed_.notify_all();
  const Status waited =
      group_.WaitForAll(lock, what, [&](const Offer& offer) { return offer.taken >= round; });
  return status.ok() ? waited : status;
}

void LocalGroup::Member::Abort(int /*exit_code*/) {
  const std::lock_guard lock(group_.mutex_);
  group_.is_aborted_ = true;
  group_.changed_.notify_all();
}

Status SingleCommunicator::Exchange(std::span<const SendPiece> send,
                                    std::span<const ReceivePiece> receive, std::string_view what) {
  DCN_CHECK_EQ(send.size(), 1U);
  DCN_CHECK_EQ(receive.size(), 1U);
  return CopyPiece(send[0], receive[0], 0, 0, what);
}

}  // namespace dcn::comm
