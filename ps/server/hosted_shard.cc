#include "ps/server/hosted_shard.h"

#include <utility>

#include "common/check.h"

namespace dcn::ps {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

// The answer to one request at a time.
class HostedShard::Inbox {
 public:
  void Put(Status answer) {
    {
      const std::lock_guard lock(mutex_);
      answer_ = std::move(answer);
      answered_at_ = Clock::now();
    }
    has_answer_.notify_one();
  }

  // Takes the answer; nothing: there is none by the deadline.
  std::optional<Status> TakeUntil(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    has_answer_.wait_until(lock, deadline, [this] { return answer_.has_value(); });
    return std::exchange(answer_, std::nullopt);
  }

  std::chrono::steady_clock::time_point answered_at() {
    const std::lock_guard lock(mutex_);
    return answered_at_;
  }

  void PutFlags(StepFlags flags) {
    const std::lock_guard lock(mutex_);
    flags_ = flags;
  }
  StepFlags flags() {
    const std::lock_guard lock(mutex_);
    return flags_;
  }
  void PutReport(const SnapshotReport& report) {
    const std::lock_guard lock(mutex_);
    report_ = report;
  }
  SnapshotReport report() {
    const std::lock_guard lock(mutex_);
    return report_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable has_answer_;
  std::optional<Status> answer_;                       // guarded by mutex_, as what follows
  std::chrono::steady_clock::time_point answered_at_;  // when the last one came
  StepFlags flags_ = 0;                                // of the last step whose rows came
  SnapshotReport report_;                              // the last one
};

class HostedShard::InboxReply final : public Reply {
 public:
  explicit InboxReply(std::shared_ptr<Inbox> inbox) : inbox_(std::move(inbox)) {}
  ~InboxReply() override {
    if (is_sent_) return;
    inbox_->Put(Status(StatusCode::kUnavailable,
                       "the shard failed, or another process took this rank's place"));
  }

  std::span<float> MakeRoom(Step /*step*/, StepFlags /*flags*/, std::size_t /*count*/) override {
    DCN_CHECK(false);  // rows go to where they are wanted
    return {};
  }
  void SetFlags(StepFlags flags) override { inbox_->PutFlags(flags); }
  void SetReport(const SnapshotReport& report) override { inbox_->PutReport(report); }

  void Send(const Status& status) override {
    is_sent_ = true;
    inbox_->Put(status);
  }

 private:
  const std::shared_ptr<Inbox> inbox_;
  bool is_sent_ = false;
};

HostedShard::HostedShard(ShardThread& thread, std::uint32_t shard, const Sender& sender,
                         std::chrono::milliseconds timeout, std::chrono::milliseconds stuck_after)
    : thread_(thread),
      shard_(shard),
      sender_(sender),
      timeout_(timeout),
      stuck_after_(stuck_after),
      inbox_(std::make_shared<Inbox>()) {}

HostedShard::~HostedShard() {
  if (is_started_) (void)Finish();
}

std::unique_ptr<Reply> HostedShard::MakeReply() { return std::make_unique<InboxReply>(inbox_); }

void HostedShard::Start(std::string description) {
  DCN_CHECK(!is_started_);
  is_started_ = true;
  description_ = std::move(description);
  deadline_ = Clock::now() + timeout_;
}

std::chrono::steady_clock::time_point HostedShard::answered_at() const {
  return inbox_->answered_at();
}

StepFlags HostedShard::step_flags() const { return inbox_->flags(); }

template <typename Ask>
Status HostedShard::AskNow(std::string description, Ask ask) {
  Start(std::move(description));
  thread_.Post([ask, reply = MakeReply()](ShardDesk& desk) { ask(desk, *reply); });
  return Finish();
}

Status HostedShard::CreateTables(std::span<const TableDefinition> tables) {
  return AskNow("creating tables", [sender = sender_, tables](ShardDesk& desk, Reply& reply) {
    desk.CreateTables(sender, tables, reply);
  });
}

void HostedShard::StartPushPull(const PushRequest& push, std::span<const RowsToPull> pull) {
  Start(fmt::format("push-pull of step {}", push.step));
  thread_.Post([sender = sender_, push, pull, reply = MakeReply()](ShardDesk& desk) mutable {
    desk.PushPull(sender, push, pull, std::move(reply));
  });
}

void HostedShard::StartPull(std::span<const RowsToPull> pull) {
  Start("pull");
  thread_.Post([sender = sender_, pull, reply = MakeReply()](ShardDesk& desk) {
    desk.Pull(sender, pull, *reply);
  });
}

Status HostedShard::Assign(TableId table, std::span<const Key> keys,
                           std::span<const float> values) {
  return AskNow("assign", [sender = sender_, table, keys, values](ShardDesk& desk, Reply& reply) {
    desk.Assign(sender, table, keys, values, reply);
  });
}

Status HostedShard::OpenSnapshots(const SnapshotPlace& place) {
  return AskNow("opening snapshots", [sender = sender_, place](ShardDesk& desk, Reply& reply) {
    desk.OpenSnapshots(sender, place, reply);
  });
}

Result<SnapshotReport> HostedShard::QuerySnapshot(Step step) {
  DCN_RETURN_IF_ERROR(AskNow(fmt::format("asking for the snapshot of step {}", step),
                             [sender = sender_, step](ShardDesk& desk, Reply& reply) {
                               desk.QuerySnapshot(sender, step, reply);
                             }));
  return inbox_->report();
}

Status HostedShard::BeginRestore(Step step, std::span<const float> step_sizes) {
  return AskNow("restoring", [sender = sender_, step, step_sizes](ShardDesk& desk, Reply& reply) {
    desk.BeginRestore(sender, step, step_sizes, reply);
  });
}

Status HostedShard::RestoreRows(const RowsToRestore& rows) {
  return AskNow("restoring rows", [sender = sender_, rows](ShardDesk& desk, Reply& reply) {
    desk.RestoreRows(sender, rows, reply);
  });
}

Status HostedShard::Finish() {
  DCN_CHECK(is_started_);
  is_started_ = false;
  if (std::optional<Status> answer = inbox_->TakeUntil(deadline_)) return *std::move(answer);
  // Nothing may touch the request's memory once this returns: the shard's thread says when.
  const std::string text = fmt::format("{}, shard {} of this process: no answer within {} ms",
                                       description_, shard_, timeout_.count());
  thread_.Post([sender = sender_, text](ShardDesk& desk) { desk.Withdraw(sender, text); });
  if (std::optional<Status> answer = inbox_->TakeUntil(Clock::now() + stuck_after_)) {
    return *std::move(answer);
  }
  inbox_ = std::make_shared<Inbox>();  // what comes later answers nothing
  return Error(StatusCode::kDeadlineExceeded,
               "{}, nor {} ms later: the shard's thread is stuck, and this process must end", text,
               stuck_after_.count());
}

}  // namespace dcn::ps
