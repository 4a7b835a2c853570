#include "ps/server/hosted_shard.h"

#include <utility>

#include "common/check.h"

namespace dcn::ps {

// The answer to one request at a time.
class HostedShard::Inbox {
 public:
  void Put(Status answer) {
    {
      const std::lock_guard lock(mutex_);
      answer_ = std::move(answer);
    }
    has_answer_.notify_one();
  }

  // Takes the answer; nothing: there is none by the deadline.
  std::optional<Status> TakeUntil(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    has_answer_.wait_until(lock, deadline, [this] { return answer_.has_value(); });
    return std::exchange(answer_, std::nullopt);
  }

  // Takes the answer, which the shard's thread is about to give.
  Status Take() {
    std::unique_lock lock(mutex_);
    has_answer_.wait(lock, [this] { return answer_.has_value(); });
    return *std::exchange(answer_, std::nullopt);
  }

 private:
  std::mutex mutex_;
  std::condition_variable has_answer_;
  std::optional<Status> answer_;  // guarded by mutex_
};

class HostedShard::InboxReply final : public Reply {
 public:
  explicit InboxReply(std::shared_ptr<Inbox> inbox) : inbox_(std::move(inbox)) {}
  ~InboxReply() override {
    if (is_sent_) return;
    inbox_->Put(Status(StatusCode::kUnavailable,
                       "the shard failed, or another process took this rank's place"));
  }

  std::span<float> MakeRoom(Step /*step*/, std::size_t /*count*/) override {
    DCN_CHECK(false);  // rows go to where they are wanted
    return {};
  }

  void Send(const Status& status) override {
    is_sent_ = true;
    inbox_->Put(status);
  }

 private:
  const std::shared_ptr<Inbox> inbox_;
  bool is_sent_ = false;
};

HostedShard::HostedShard(ShardThread& thread, std::uint32_t shard, const Sender& sender,
                         std::chrono::milliseconds timeout)
    : thread_(thread),
      shard_(shard),
      sender_(sender),
      timeout_(timeout),
      inbox_(std::make_shared<Inbox>()) {}

HostedShard::~HostedShard() {
  if (is_started_) (void)Finish();
}

std::unique_ptr<Reply> HostedShard::MakeReply() { return std::make_unique<InboxReply>(inbox_); }

void HostedShard::Start(std::string description) {
  DCN_CHECK(!is_started_);
  is_started_ = true;
  description_ = std::move(description);
  deadline_ = std::chrono::steady_clock::now() + timeout_;
}

Status HostedShard::CreateTables(std::span<const TableDefinition> tables) {
  Start("creating tables");
  thread_.Post([sender = sender_, tables, reply = MakeReply()](ShardDesk& desk) {
    desk.CreateTables(sender, tables, *reply);
  });
  return Finish();
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
  Start("assign");
  thread_.Post([sender = sender_, table, keys, values, reply = MakeReply()](ShardDesk& desk) {
    desk.Assign(sender, table, keys, values, *reply);
  });
  return Finish();
}

Status HostedShard::Finish() {
  DCN_CHECK(is_started_);
  is_started_ = false;
  if (std::optional<Status> answer = inbox_->TakeUntil(deadline_)) return *std::move(answer);
  // Nothing may touch the request's memory once this returns: the shard's thread says when.
  const std::string text = fmt::format("{}, shard {} of this process: no answer within {} ms",
                                       description_, shard_, timeout_.count());
  thread_.Post([sender = sender_, text](ShardDesk& desk) { desk.Withdraw(sender, text); });
  return inbox_->Take();
}

}  // namespace dcn::ps
