#include "ps/server/snapshot_writer.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <numeric>
#include <string_view>
#include <utility>

#include "ps/server/snapshot_place.h"
#include "ps/snapshot_file.h"

namespace dcn::ps {
namespace {

using Clock = std::chrono::steady_clock;

// How long a thread that was given up may take to remove its file: a disk that answers needs less.
constexpr std::chrono::seconds kEndTakes{1};

std::size_t BytesOf(const RowCopies& copies) {
  return copies.records.size() * sizeof(float) +
         copies.keys.size() * (sizeof(Key) + sizeof(std::uint32_t));
}

}  // namespace

class SnapshotWriter::Job {
 public:
  Job(std::filesystem::path path, std::vector<TableDefinition> tables,
      std::vector<std::size_t> rows, std::map<std::string, std::string> metadata)
      : path_(std::move(path)),
        tables_(std::move(tables)),
        rows_(std::move(rows)),
        metadata_(std::move(metadata)),
        outcome_(Status(StatusCode::kUnavailable, "")) {
    std::size_t next = tables_.size();
    for (const TableDefinition& table : tables_) {
      first_tensor_.push_back(next);
      next += 2 + StateNames(table.optimizer).size();
    }
  }

  // The thread's work.
  void Run(DiskWait& wait) { SetOutcome(Write(wait)); }
  void OnException(std::string_view what) {
    SetOutcome(Error(StatusCode::kInternal, "{}: {}", path_.string(), what));
  }

  // The shard's calls.
  void Add(RowCopies copies);
  void GiveUp();
  [[nodiscard]] std::size_t queued_bytes() const { return queued_bytes_; }
  [[nodiscard]] Result<TensorFileRecord> outcome() const {
    const std::lock_guard lock(mutex_);
    return outcome_;
  }

 private:
  void SetOutcome(Result<TensorFileRecord> outcome);
  [[nodiscard]] Result<TensorFileRecord> Write(DiskWait& wait);
  [[nodiscard]] Status WriteCopies(TensorFileWriter& file, const RowCopies& copies);
  [[nodiscard]] Status CheckIsWanted();

  const std::filesystem::path path_;
  const std::vector<TableDefinition> tables_;
  const std::vector<std::size_t> rows_;
  const std::map<std::string, std::string> metadata_;
  std::vector<std::size_t> first_tensor_;  // by table: last_step's place; weights and states follow
  std::atomic<std::size_t> queued_bytes_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable has_copies_;
  std::deque<RowCopies> queue_;  // guarded by mutex_, as what follows
  bool is_given_up_ = false;
  Result<TensorFileRecord> outcome_;
};

void SnapshotWriter::Job::Add(RowCopies copies) {
  {
    const std::lock_guard lock(mutex_);
    const bool is_under_way =
        !outcome_.ok() && outcome_.status().code() == StatusCode::kUnavailable;
    if (is_given_up_ || !is_under_way) return;
    queued_bytes_ += BytesOf(copies);
    queue_.push_back(std::move(copies));
  }
  has_copies_.notify_one();
}

void SnapshotWriter::Job::GiveUp() {
  {
    const std::lock_guard lock(mutex_);
    is_given_up_ = true;
    queue_.clear();
    queued_bytes_ = 0;
  }
  has_copies_.notify_one();
}

void SnapshotWriter::Job::SetOutcome(Result<TensorFileRecord> outcome) {
  const std::lock_guard lock(mutex_);
  outcome_ = std::move(outcome);
  queue_.clear();
  queued_bytes_ = 0;
}

Status SnapshotWriter::Job::CheckIsWanted() {
  const std::lock_guard lock(mutex_);
  return is_given_up_ ? Error(StatusCode::kCancelled, "{}: given up", path_.string()) : Status();
}

Result<TensorFileRecord> SnapshotWriter::Job::Write(DiskWait& wait) {
  wait.Begin(path_);
  // Whoever may write into the job's folder could have put a link there that leads elsewhere.
  DCN_RETURN_IF_ERROR(CheckHasNoLinks(path_.parent_path()));
  DCN_ASSIGN_OR_RETURN(TensorFileWriter file,
                       TensorFileWriter::Create(path_, SnapshotTensors(tables_, rows_), metadata_));
  std::size_t missing = std::accumulate(rows_.begin(), rows_.end(), std::size_t{0});
  while (missing > 0) {
    wait.End();
    RowCopies copies;
    {
      std::unique_lock lock(mutex_);
      has_copies_.wait(lock, [this] { return !queue_.empty() || is_given_up_; });
      if (is_given_up_) return Error(StatusCode::kCancelled, "{}: given up", path_.string());
      copies = std::move(queue_.front());
      queue_.pop_front();
      queued_bytes_ -= BytesOf(copies);
    }
    wait.Begin(path_);
    DCN_RETURN_IF_ERROR(WriteCopies(file, copies));
    missing -= copies.keys.size();
  }
  DCN_RETURN_IF_ERROR(CheckIsWanted());
  wait.Begin(path_);
  return file.Commit();
}

Status SnapshotWriter::Job::WriteCopies(TensorFileWriter& file, const RowCopies& copies) {
  const TableDefinition& table = tables_[copies.table];
  const std::size_t first = first_tensor_[copies.table];
  const std::size_t columns = 1 + StateNames(table.optimizer).size();
  const std::size_t dimension = table.dimension;
  DCN_RETURN_IF_ERROR(file.Append(copies.table, copies.keys));
  DCN_RETURN_IF_ERROR(file.Append(first, copies.last_steps));
  std::vector<float> values(copies.keys.size() * dimension);
  for (std::size_t column = 0; column < columns; ++column) {
    for (std::size_t row = 0; row < copies.keys.size(); ++row) {
      const float* const record = copies.records.data() + row * columns * dimension;
      std::copy_n(record + column * dimension, dimension, values.data() + row * dimension);
    }
    DCN_RETURN_IF_ERROR(file.Append(first + 1 + column, values));
  }
  return Status();
}

SnapshotWriter::SnapshotWriter(std::filesystem::path path, std::vector<TableDefinition> tables,
                               std::vector<std::size_t> rows,
                               std::map<std::string, std::string> metadata)
    : job_(std::make_shared<Job>(std::move(path), std::move(tables), std::move(rows),
                                 std::move(metadata))),
      thread_(
          "dcn-snapshot", [job = job_](DiskWait& wait) { job->Run(wait); },
          [job = job_](std::string_view what) { job->OnException(what); }) {}

SnapshotWriter::~SnapshotWriter() { (void)AwaitEnd(); }

void SnapshotWriter::Add(RowCopies copies) { job_->Add(std::move(copies)); }

std::size_t SnapshotWriter::queued_bytes() const { return job_->queued_bytes(); }

Result<TensorFileRecord> SnapshotWriter::outcome() const {
  Result<TensorFileRecord> outcome = job_->outcome();
  if (outcome.status().code() != StatusCode::kUnavailable) return outcome;
  return Status(StatusCode::kUnavailable, wait_text());
}

void SnapshotWriter::GiveUp() {
  if (!given_up_at_) given_up_at_ = Clock::now();
  job_->GiveUp();
}

bool SnapshotWriter::AwaitEnd() {
  GiveUp();
  return thread_.AwaitEnd(*given_up_at_ + kEndTakes);
}

}  // namespace dcn::ps
