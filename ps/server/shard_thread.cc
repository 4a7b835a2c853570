#include "ps/server/shard_thread.h"

#include <fmt/core.h>

namespace dcn::ps {

ShardThread::ShardThread(std::uint32_t shard,
                         std::function<void(std::string_view what)> on_exception)
    : on_exception_(std::move(on_exception)),
      thread_(
          fmt::format("dcn-shard-{}", shard), [this] { Run(); },
          [this](std::string_view what) { Fail(what); }) {}

ShardThread::~ShardThread() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  has_mail_.notify_one();
  thread_.Join();
}

void ShardThread::Enqueue(std::unique_ptr<Task> task) {
  {
    const std::lock_guard lock(mutex_);
    if (has_failed_) return;  // destroys the task, outside of the lock: it is the caller's
    mail_.push_back(std::move(task));
  }
  has_mail_.notify_one();
}

void ShardThread::Run() {
  ShardDesk desk;
  std::vector<std::unique_ptr<Task>> taken;
  while (true) {
    taken.clear();
    {
      std::unique_lock lock(mutex_);
      has_mail_.wait(lock, [this] { return !mail_.empty() || is_stopping_; });
      if (mail_.empty()) return;
      taken.swap(mail_);
    }
    for (std::unique_ptr<Task>& task : taken) {
      task->Run(desk);
      task.reset();
    }
  }
}

void ShardThread::Fail(std::string_view what) {
  std::vector<std::unique_ptr<Task>> left;
  {
    const std::lock_guard lock(mutex_);
    has_failed_ = true;
    left.swap(mail_);
  }
  left.clear();
  on_exception_(what);
}

}  // namespace dcn::ps
