#include "worker/checkpoint/background_checkpoint.h"

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

namespace dcn::checkpoint {
namespace {

using Clock = std::chrono::steady_clock;

// How long a thread that was given up may take to remove its files: a disk that answers needs less.
constexpr std::chrono::seconds kEndTakes{1};

bool IsUnderWay(const Status& outcome) { return outcome.code() == StatusCode::kUnavailable; }

}  // namespace

// Shared by the thread and its owner.
class BackgroundCheckpoint::Job {
 public:
  Job(std::shared_ptr<const CheckpointFolder> folder, const CheckpointName& name, std::size_t keep)
      : folder_(std::move(folder)), name_(name), keep_(keep) {}

  // The thread's work.
  void Run(DiskWait& wait) {
    const std::filesystem::path path = folder_->path() / name_.folder();
    wait.Begin(path);
    Status made = folder_->MakeCheckpoint(name_);
    if (!made.ok()) {
      SetOutcome(made);
      return;
    }
    Status written = Write(path, wait);
    SetOutcome(written);
    if (written.ok()) {
      wait.Begin(folder_->path());
      const Status cleared = folder_->RemoveOld(keep_, name_.epoch);
      const std::lock_guard lock(mutex_);
      clearing_ = cleared;
    } else {
      // Where a shard still writes there, its file goes with the next epoch's clearing up.
      wait.Begin(path);
      (void)folder_->Remove(name_);
    }
  }
  void OnException(std::string_view what) {
    SetOutcome(Error(StatusCode::kInternal, "writing a checkpoint: {}", what));
  }

  // The owner's calls.
  std::optional<Status> AwaitFolder(TimePoint deadline) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline, [this] { return is_made_ || !IsUnderWay(outcome_); });
    if (is_made_) return Status();
    return IsUnderWay(outcome_) ? std::nullopt : std::optional(outcome_);
  }
  void WriteDense(Content content) {
    const std::lock_guard lock(mutex_);
    content_ = std::move(content);
    changed_.notify_all();
  }
  void AddShards(std::map<std::string, TensorFileRecord> files) {
    const std::lock_guard lock(mutex_);
    shard_files_ = std::move(files);
    changed_.notify_all();
  }
  bool GiveUp() {
    const std::lock_guard lock(mutex_);
    is_given_up_ = true;
    changed_.notify_all();
    return !outcome_.ok();
  }
  Status outcome() const {
    const std::lock_guard lock(mutex_);
    return outcome_;
  }
  Status clearing() const {
    const std::lock_guard lock(mutex_);
    return clearing_;
  }

 private:
  void SetOutcome(const Status& outcome) {
    const std::lock_guard lock(mutex_);
    outcome_ = outcome;
    changed_.notify_all();
  }

  Status Write(const std::filesystem::path& path, DiskWait& wait) {
    wait.End();
    Content content;
    {
      std::unique_lock lock(mutex_);
      is_made_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return content_.has_value() || is_given_up_; });
      if (is_given_up_) return Status(StatusCode::kCancelled, "given up");
      content = *std::exchange(content_, std::nullopt);
    }
    wait.Begin(path / kDenseFile);
    DCN_ASSIGN_OR_RETURN(
        content.manifest.files[kDenseFile],
        WriteDenseFile(path / kDenseFile, content.spec, content.optimizer, content.dense));
    wait.End();
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return shard_files_.has_value() || is_given_up_; });
      if (is_given_up_) return Status(StatusCode::kCancelled, "given up");
      content.manifest.files.merge(*shard_files_);
    }
    wait.Begin(path / kManifestFile);
    return folder_->Commit(name_, ToText(content.manifest));
  }

  const std::shared_ptr<const CheckpointFolder> folder_;
  const CheckpointName name_;
  const std::size_t keep_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool is_made_ = false;  // the folder; guarded by mutex_, as what follows
  std::optional<Content> content_;
  std::optional<std::map<std::string, TensorFileRecord>> shard_files_;
  bool is_given_up_ = false;
  Status outcome_ = Status(StatusCode::kUnavailable, "it is still being written");
  Status clearing_;
};

BackgroundCheckpoint::BackgroundCheckpoint(std::shared_ptr<const CheckpointFolder> folder,
                                           const CheckpointName& name, std::size_t keep)
    : name_(name),
      job_(std::make_shared<Job>(std::move(folder), name, keep)),
      thread_(
          "dcn-checkpoint", [job = job_](DiskWait& wait) { job->Run(wait); },
          [job = job_](std::string_view what) { job->OnException(what); }) {}

BackgroundCheckpoint::~BackgroundCheckpoint() {
  (void)GiveUp();
  (void)AwaitEnd(*given_up_at_ + kEndTakes);
}

Status BackgroundCheckpoint::AwaitFolder(TimePoint deadline) {
  if (std::optional<Status> status = job_->AwaitFolder(deadline)) return *std::move(status);
  return Error(StatusCode::kDeadlineExceeded, "cannot make the folder {}", wait_text());
}

void BackgroundCheckpoint::WriteDense(Content content) { job_->WriteDense(std::move(content)); }

void BackgroundCheckpoint::AddShards(std::map<std::string, TensorFileRecord> files) {
  job_->AddShards(std::move(files));
}

Status BackgroundCheckpoint::outcome() const { return job_->outcome(); }

bool BackgroundCheckpoint::GiveUp() {
  if (!given_up_at_) given_up_at_ = Clock::now();
  return job_->GiveUp();
}

Status BackgroundCheckpoint::clearing() const { return job_->clearing(); }

}  // namespace dcn::checkpoint
