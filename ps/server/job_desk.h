// Decides who may talk to a server: which job it holds, which life (epoch) of it, which ranks.
//
// Pure bookkeeping, without sockets, threads or a clock: the server (server_core.h) feeds it and
// does what it says. One job at a time:
//
//        Admit (new job or epoch)       every rank sent End
//   idle ------------------------> held -------------------> idle
//     ^                              | a rank lost: grace over, or silent
//     |        lease over            v
//     +--------------------------- broken ---> held by the job's next epoch
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "ps/message.h"

namespace dcn::ps {

/// One connection of a server, never the same number again. 0: none.
using ConnectionId = std::uint64_t;

/// Thread safety: none; confined to the server's I/O thread.
class JobDesk {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  struct Options {
    std::chrono::milliseconds reconnect_grace{3000};  // a rank may be gone for so long
    std::chrono::milliseconds lease{
        300'000};  // a job that lost a rank keeps its memory for so long
  };

  explicit JobDesk(Options options) : options_(options) {}

  /// What follows from an admission.
  struct Admission {
    bool starts_epoch = false;  // drop all tables and close the connections of earlier epochs
    ConnectionId replaces = 0;  // the same rank's earlier connection: close it
  };

  /// A worker's first message. kInvalidArgument: a hello that no waiting can help (no job, rank
  /// out of range, another number of ranks than the other ranks say, an epoch more than
  /// kMaxEpochJump above all before: it would lock later jobs out). kUnavailable: busy with
  /// another job, with another run that has taken the same epoch, or with a complete earlier epoch;
  /// the epoch is over or broken. A rank of an epoch that all ranks have ended may come back, as
  /// long as no other has begun: the answer to its end may have been lost.
  /// Call Expire first.
  [[nodiscard]] Result<Admission> Admit(const Hello& hello, std::uint64_t epoch,
                                        ConnectionId connection);

  /// A rank is through with the job. True: it was the last one, the job has ended: drop all
  /// tables. Again, or of a connection that is no rank's (any more): false, no change.
  bool End(ConnectionId connection);

  /// A connection is gone, whatever it was.
  void OnDisconnected(ConnectionId connection, TimePoint now);

  /// A connection has been silent for so long that its rank is taken for dead: there is no grace,
  /// the next Expire breaks the epoch. Close it; of a rank that has ended, that is all.
  void OnSilent(ConnectionId connection, std::chrono::milliseconds silence, TimePoint now);

  /// What the time has brought.
  struct Expiry {
    std::optional<Status> broken;  // answer every waiting and later request of epoch() with this
    bool has_ended = false;        // drop all tables
  };
  [[nodiscard]] Expiry Expire(TimePoint now);
  /// When Expire will have something to say; nothing: not before the next call to something else.
  [[nodiscard]] std::optional<TimePoint> next_deadline() const;

  /// The server stops: breaks the epoch that is held, if any, as in Expiry::broken.
  [[nodiscard]] std::optional<Status> Stop();

  // --- what stands now, for the server's status --------------------------------------------------

  /// Whether a job is held (broken ones too).
  [[nodiscard]] bool is_held() const { return is_held_; }
  [[nodiscard]] bool is_broken() const { return !broken_.ok(); }
  /// Why; OK while it is not broken.
  [[nodiscard]] const Status& broken() const { return broken_; }
  /// Of the job that is held, else of the last one; "" and 0 before the first.
  [[nodiscard]] const std::string& job() const { return job_; }
  [[nodiscard]] std::uint64_t epoch() const { return epoch_; }
  [[nodiscard]] std::uint32_t ranks() const { return static_cast<std::uint32_t>(ranks_.size()); }
  [[nodiscard]] std::size_t connected() const;
  [[nodiscard]] std::size_t ended() const;

 private:
  // Had a connection, has none, has not ended.
  struct Loss {
    TimePoint at;
    TimePoint final_at;                                // when it breaks the epoch
    std::optional<std::chrono::milliseconds> silence;  // nothing: the connection was closed
  };
  struct Rank {
    ConnectionId connection = 0;
    bool has_ended = false;
    std::optional<Loss> loss;
  };

  [[nodiscard]] static Status CheckHello(const Hello& hello, std::uint64_t epoch);
  [[nodiscard]] Status CheckMayStart(const Hello& hello, std::uint64_t epoch) const;
  [[nodiscard]] Result<Admission> Join(const Hello& hello, ConnectionId connection);
  [[nodiscard]] Rank* FindRank(ConnectionId connection);
  // Whether the last epoch was ended by all of its ranks.
  [[nodiscard]] bool IsComplete() const;
  // Whether some rank is not there: never came, or went without an end.
  [[nodiscard]] bool LacksRank() const;
  // The one that breaks the epoch first; null: none.
  [[nodiscard]] const Rank* FirstLost() const;
  [[nodiscard]] Status LostStatus(const Rank& rank) const;
  void StartEpoch(const Hello& hello, std::uint64_t epoch);
  [[nodiscard]] Status OverStatus(const std::string& job, std::uint64_t epoch) const;

  const Options options_;
  bool is_held_ = false;
  std::string job_;
  std::uint64_t epoch_ = 0;  // never falls
  std::uint64_t run_ = 0;    // Hello::run of the epoch's ranks
  std::vector<Rank> ranks_;
  Status broken_;
  std::optional<TimePoint> lease_end_;  // once broken
};

}  // namespace dcn::ps
