// A shard with the thread that owns it: others leave work in its mailbox.
//
// Work is done in the order in which it was posted. An exception that leaves a piece of work is a
// bug; the shard's state cannot be trusted after it: from then on everything is refused, so that
// nobody waits for it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/named_thread.h"
#include "ps/server/shard_desk.h"

namespace dcn::ps {

/// Thread safety: Post may be called from any thread.
class ShardThread {
 public:
  /// shard: its number within the server, for the thread's name. on_exception: called on the
  /// shard's thread, at most once; must not throw.
  ShardThread(std::uint32_t shard, std::function<void(std::string_view what)> on_exception);
  /// Does what was posted, then ends the thread.
  ~ShardThread();
  ShardThread(const ShardThread&) = delete;
  ShardThread& operator=(const ShardThread&) = delete;

  /// Has work(ShardDesk&) called on the shard's thread. Where the thread has failed, `work` is
  /// destroyed instead, and with it the replies that it holds.
  template <typename Work>
  void Post(Work&& work) {
    Enqueue(std::make_unique<TaskOf<std::decay_t<Work>>>(std::forward<Work>(work)));
  }

 private:
  struct Task {
    virtual ~Task() = default;
    virtual void Run(ShardDesk& desk) = 0;
  };
  // Unlike std::function, holds what can only be moved.
  template <typename Work>
  struct TaskOf final : Task {
    explicit TaskOf(Work&& given) : work(std::move(given)) {}
    explicit TaskOf(const Work& given) : work(given) {}
    void Run(ShardDesk& desk) override { work(desk); }
    Work work;
  };

  void Enqueue(std::unique_ptr<Task> task);
  void Run();
  void Fail(std::string_view what);

  const std::function<void(std::string_view what)> on_exception_;
  std::mutex mutex_;
  std::condition_variable has_mail_;
  std::vector<std::unique_ptr<Task>> mail_;  // guarded by mutex_
  bool is_stopping_ = false;                 // guarded by mutex_
  bool has_failed_ = false;                  // guarded by mutex_
  NamedThread thread_;                       // the last member: sees all others
};

}  // namespace dcn::ps
