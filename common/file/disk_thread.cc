#include "common/file/disk_thread.h"

#include <condition_variable>
#include <utility>

#include <fmt/core.h>

namespace dcn {

void DiskWait::Begin(const std::filesystem::path& path) {
  const std::lock_guard lock(mutex_);
  path_ = path.string();
  since_ = std::chrono::steady_clock::now();
}

void DiskWait::End() {
  const std::lock_guard lock(mutex_);
  path_.clear();
}

std::string DiskWait::text() const {
  const std::lock_guard lock(mutex_);
  if (path_.empty()) return {};
  const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - since_;
  return fmt::format("{}: the disk has not answered for {:.1f} s", path_, waited.count());
}

struct DiskThread::State {
  void End() {
    wait.End();
    {
      const std::lock_guard lock(mutex);
      has_ended = true;
    }
    changed.notify_all();
  }

  DiskWait wait;
  std::mutex mutex;
  std::condition_variable changed;
  bool has_ended = false;  // guarded by mutex
};

DiskThread::DiskThread(std::string name, std::function<void(DiskWait& wait)> body,
                       std::function<void(std::string_view what)> on_exception)
    : state_(std::make_shared<State>()),
      thread_(
          std::move(name),
          [state = state_, body = std::move(body)]() mutable {
            body(state->wait);
            body = nullptr;
            state->End();
          },
          [state = state_, on_exception = std::move(on_exception)](std::string_view what) {
            on_exception(what);
            state->End();
          }) {}

DiskThread::~DiskThread() {
  if (!has_ended()) thread_.Detach();
}

bool DiskThread::AwaitEnd(TimePoint deadline) const {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_until(lock, deadline, [this] { return state_->has_ended; });
}

bool DiskThread::has_ended() const {
  const std::lock_guard lock(state_->mutex);
  return state_->has_ended;
}

std::string DiskThread::wait_text() const { return state_->wait.text(); }

}  // namespace dcn
