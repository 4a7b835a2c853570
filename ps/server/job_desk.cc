#include "ps/server/job_desk.h"

#include <algorithm>

#include <fmt/format.h>

namespace dcn::ps {

Result<JobDesk::Admission> JobDesk::Admit(const Hello& hello, std::uint64_t epoch,
                                          ConnectionId connection) {
  DCN_RETURN_IF_ERROR(CheckHello(hello, epoch));
  const bool is_same_epoch =
      (is_held_ || IsComplete()) && hello.job == job_ && epoch == epoch_ && hello.run == run_;
  if (is_same_epoch) return Join(hello, connection);
  DCN_RETURN_IF_ERROR(CheckMayStart(hello, epoch));
  StartEpoch(hello, epoch);
  DCN_ASSIGN_OR_RETURN(Admission admission, Join(hello, connection));
  admission.starts_epoch = true;
  return admission;
}

Status JobDesk::CheckHello(const Hello& hello, std::uint64_t epoch) {
  DCN_RETURN_IF_ERROR(CheckJobName(hello.job));
  if (epoch == 0 || epoch > kMaxEpoch) {
    return Error(StatusCode::kInvalidArgument, "job '{}': epoch {}; epochs count from 1 to {}",
                 hello.job, epoch, kMaxEpoch);
  }
  if (hello.rank < hello.ranks && hello.ranks <= kMaxRanks) return Status();
  return Error(StatusCode::kInvalidArgument,
               "job '{}': rank {} of {} ranks; ranks count from 0, up to {} of them", hello.job,
               hello.rank, hello.ranks, kMaxRanks);
}

Status JobDesk::OverStatus(const std::string& job, std::uint64_t epoch) const {
  if (is_held_ && job == job_) {
    return Error(StatusCode::kUnavailable, "epoch {} of job '{}' is over: epoch {} is running",
                 epoch, job, epoch_);
  }
  return Error(StatusCode::kUnavailable,
               "epoch {} of job '{}' is over: this server has seen epoch {}", epoch, job, epoch_);
}

Status JobDesk::CheckMayStart(const Hello& hello, std::uint64_t epoch) const {
  const bool is_same_job = hello.job == job_;
  const std::uint64_t highest = std::max<std::uint64_t>(epoch_, 1);
  if (epoch > highest && epoch - highest > kMaxEpochJump) {
    return Error(StatusCode::kInvalidArgument,
                 "job '{}': epoch {} is too far above {}, the highest that this server has seen; "
                 "where another server was told a wrong epoch, start all of them again",
                 hello.job, epoch, epoch_);
  }
  if (is_held_ && is_same_job) {
    if (epoch < epoch_) return OverStatus(hello.job, epoch);
    if (epoch > epoch_ && (is_broken() || LacksRank())) return Status();
    return Error(StatusCode::kUnavailable,
                 "busy with another run of job '{}' (epoch {}, {} of {} ranks connected, {} have "
                 "ended){}",
                 job_, epoch_, connected(), ranks(), ended(),
                 epoch == epoch_ ? ", which started at the same time" : "");
  }
  if (is_held_) {
    return Error(StatusCode::kUnavailable,
                 "busy with job '{}' (epoch {}, {} of {} ranks connected{})", job_, epoch_,
                 connected(), ranks(), is_broken() ? ", a rank was lost" : "");
  }
  // Epochs rise over all jobs (last_epoch of the handshake), so an old process of any of them is
  // told apart. Two jobs may have taken the same number at the same time: both are new.
  if (epoch < epoch_ || (epoch == epoch_ && is_same_job)) return OverStatus(hello.job, epoch);
  return Status();
}

Result<JobDesk::Admission> JobDesk::Join(const Hello& hello, ConnectionId connection) {
  if (hello.ranks != ranks()) {
    return Error(StatusCode::kInvalidArgument,
                 "job '{}': rank {} says {} ranks, other ranks said {}; all must say the same",
                 job_, hello.rank, hello.ranks, ranks());
  }
  if (is_broken()) return broken_;
  Rank& rank = ranks_[hello.rank];
  const Admission admission = {.replaces = rank.connection};
  rank.connection = connection;
  rank.loss.reset();
  return admission;
}

void JobDesk::StartEpoch(const Hello& hello, std::uint64_t epoch) {
  is_held_ = true;
  job_ = hello.job;
  epoch_ = epoch;
  run_ = hello.run;
  ranks_.assign(hello.ranks, Rank());
  broken_ = Status();
  lease_end_.reset();
}

bool JobDesk::End(ConnectionId connection) {
  Rank* const rank = FindRank(connection);
  if (rank == nullptr || !is_held_ || is_broken()) return false;
  rank->has_ended = true;
  if (ended() < ranks_.size()) return false;
  is_held_ = false;
  return true;
}

void JobDesk::OnDisconnected(ConnectionId connection, TimePoint now) {
  Rank* const rank = FindRank(connection);
  if (rank == nullptr) return;
  rank->connection = 0;
  if (rank->has_ended) return;
  rank->loss = Loss{.at = now, .final_at = now + options_.reconnect_grace, .silence = {}};
}

void JobDesk::OnSilent(ConnectionId connection, std::chrono::milliseconds silence, TimePoint now) {
  Rank* const rank = FindRank(connection);
  if (rank == nullptr) return;
  rank->connection = 0;
  if (rank->has_ended) return;
  rank->loss = Loss{.at = now, .final_at = now, .silence = silence};
}

JobDesk::Expiry JobDesk::Expire(TimePoint now) {
  Expiry expiry;
  if (!is_held_) return expiry;
  const Rank* const lost = is_broken() ? nullptr : FirstLost();
  if (lost != nullptr && now >= lost->loss->final_at) {
    broken_ = LostStatus(*lost);
    lease_end_ = lost->loss->at + options_.lease;
    expiry.broken = broken_;
  }
  if (lease_end_ && now >= *lease_end_) {
    is_held_ = false;
    lease_end_.reset();
    expiry.has_ended = true;
  }
  return expiry;
}

std::optional<JobDesk::TimePoint> JobDesk::next_deadline() const {
  if (!is_held_) return std::nullopt;
  if (is_broken()) return lease_end_;
  const Rank* const lost = FirstLost();
  if (lost == nullptr) return std::nullopt;
  return lost->loss->final_at;
}

std::optional<Status> JobDesk::Stop() {
  if (!is_held_ || is_broken()) return std::nullopt;
  broken_ = Error(StatusCode::kUnavailable, "the server was stopped during epoch {} of job '{}'",
                  epoch_, job_);
  return broken_;
}

JobDesk::Rank* JobDesk::FindRank(ConnectionId connection) {
  if (connection == 0) return nullptr;
  const auto found = std::ranges::find(ranks_, connection, &Rank::connection);
  return found == ranks_.end() ? nullptr : &*found;
}

bool JobDesk::IsComplete() const { return !ranks_.empty() && ended() == ranks_.size(); }

bool JobDesk::LacksRank() const {
  return std::ranges::any_of(
      ranks_, [](const Rank& rank) { return rank.connection == 0 && !rank.has_ended; });
}

const JobDesk::Rank* JobDesk::FirstLost() const {
  const Rank* first = nullptr;
  for (const Rank& rank : ranks_) {
    if (!rank.loss) continue;
    if (first == nullptr || rank.loss->final_at < first->loss->final_at) first = &rank;
  }
  return first;
}

Status JobDesk::LostStatus(const Rank& rank) const {
  const std::string how =
      rank.loss->silence ? fmt::format("it was silent for {:g} s",
                                       std::chrono::duration<double>(*rank.loss->silence).count())
                         : fmt::format("its connection closed and did not come back within {} ms",
                                       options_.reconnect_grace.count());
  return Error(StatusCode::kUnavailable, "rank {} of job '{}' was lost: {} (epoch {})",
               &rank - ranks_.data(), job_, how, epoch_);
}

std::size_t JobDesk::connected() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(ranks_, [](const Rank& rank) { return rank.connection != 0; }));
}

std::size_t JobDesk::ended() const {
  return static_cast<std::size_t>(std::ranges::count_if(ranks_, &Rank::has_ended));
}

}  // namespace dcn::ps
