#include "worker/checkpoint/checkpoint_writer.h"

#include <algorithm>
#include <map>
#include <thread>
#include <utility>

#include <spdlog/spdlog.h>

#include "common/file/json.h"
#include "ps/partition.h"
#include "ps/snapshot_file.h"
#include "worker/checkpoint/dense_file.h"

namespace dcn::checkpoint {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPollPause{1};
// How long a step may be held up by the folder of its checkpoint.
constexpr std::chrono::milliseconds kFolderPatience{2000};
// How long the end of the run is held up by what follows the last checkpoint: removing older ones.
constexpr std::chrono::seconds kEndPatience{1};

}  // namespace

CheckpointWriter::CheckpointWriter(WriterOptions options,
                                   std::shared_ptr<const CheckpointFolder> folder,
                                   const model::ModelSpec& spec, train::Shards& shards)
    : options_(std::move(options)), folder_(std::move(folder)), spec_(spec), shards_(shards) {}

CheckpointWriter::~CheckpointWriter() = default;

Status CheckpointWriter::Open() {
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    DCN_RETURN_IF_ERROR(
        shards_[s]->OpenSnapshots({.folder = folder_->path().string(),
                                   .nonce = folder_->nonce(),
                                   .epoch = options_.epoch,
                                   .shard = static_cast<std::uint32_t>(s),
                                   .shards = static_cast<std::uint32_t>(shards_.size())}));
  }
  return Status();
}

bool CheckpointWriter::BeginStep(ps::Step step, bool is_asked) {
  const Stopwatch watch;
  const bool begins = BeginIfDue(step, is_asked);
  begin_seconds_ = watch.seconds();
  return begins;
}

bool CheckpointWriter::BeginIfDue(ps::Step step, bool is_asked) {
  const bool is_due = is_asked || (options_.every > 0 && step % options_.every == 0);
  if (!is_due) return false;
  const Clock::time_point now = Clock::now();
  if (is_asked) {
    if (!end_deadline_) end_deadline_ = now + options_.timeout;
    const auto deadline = std::min(now + options_.step_patience, *end_deadline_);
    // Whatever is wrong with the shards shows again at the step itself.
    if (const Status awaited = Await(deadline); !awaited.ok()) return false;
  }
  if (IsBusy()) {
    ++summary_.skipped;
    spdlog::warn("checkpoint of step {}: left out, that of step {} {}{}", step,
                 background_->name().step,
                 open_ ? "is still being written" : "was given up and has not ended", HangText());
    return false;
  }
  ReportClearing();
  const CheckpointName name = {.step = step, .epoch = options_.epoch};
  background_ = std::make_unique<BackgroundCheckpoint>(folder_, name, options_.keep);
  const Status made = background_->AwaitFolder(
      Clock::now() +
      (is_asked ? options_.step_patience : std::min(kFolderPatience, options_.step_patience)));
  if (!made.ok()) {
    (void)background_->GiveUp();
    ++summary_.failed;
    spdlog::warn("checkpoint of step {}: {}; training goes on", step, made.message());
    return false;
  }
  open_ = name;
  is_reported_.assign(shards_.size(), false);
  copied_seconds_.assign(shards_.size(), 0);
  shard_waits_.assign(shards_.size(), "");
  bytes_ = 0;
  return true;
}

Status CheckpointWriter::EndStep(const train::TrainingStep& step, const train::Training& training) {
  const Stopwatch watch;
  copying_seconds_ = 0;
  const Status status = GoOn(step, training);
  summary_.longest_stall_seconds =
      std::max(summary_.longest_stall_seconds, begin_seconds_ + watch.seconds() + copying_seconds_);
  return status;
}

Status CheckpointWriter::GoOn(const train::TrainingStep& step, const train::Training& training) {
  if (!open_) return Status();
  if (open_->step == step.step()) {
    since_step_.Restart();
    const auto step_sizes = step.step_sizes();
    DensePart dense = {.state = step.dense_state(),
                       .step_sizes = {step_sizes.begin(), step_sizes.end()},
                       .losses = training.losses};
    Manifest manifest = {.step = open_->step,
                         .epoch = open_->epoch,
                         .configuration = options_.configuration,
                         .engine = options_.engine,
                         .version = options_.version,
                         .shards = static_cast<std::uint32_t>(shards_.size()),
                         .buckets = ps::kVirtualBuckets,
                         .training = training,
                         .files = {}};
    background_->WriteDense({.spec = spec_,
                             .optimizer = options_.optimizer,
                             .dense = std::move(dense),
                             .manifest = std::move(manifest)});
  }
  return Advance();
}

// Asks those shards that are not done; every answer may be the last one.
Status CheckpointWriter::Advance() {
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    if (is_reported_[s]) continue;
    DCN_ASSIGN_OR_RETURN(const ps::SnapshotReport report, shards_[s]->QuerySnapshot(open_->step));
    copying_seconds_ = std::max(copying_seconds_, report.stall_seconds - copied_seconds_[s]);
    copied_seconds_[s] = report.stall_seconds;
    shard_waits_[s] = report.text;
    if (report.state == ps::SnapshotReport::State::kWriting) continue;
    shard_waits_[s].clear();
    if (report.state == ps::SnapshotReport::State::kFailed) {
      // Where the folder's own writing has failed, and taken the folder away, that is the cause.
      const Status own = background_->outcome();
      const bool is_cause = !own.ok() && own.code() != StatusCode::kUnavailable;
      GiveUp(is_cause ? own : Status(StatusCode::kInternal, report.text));
      return Status();
    }
    const std::string name = ps::SnapshotFileName(static_cast<std::uint32_t>(s),
                                                  static_cast<std::uint32_t>(shards_.size()));
    const Result<nlohmann::json> text = ParseJson(report.text, name);
    const Result<TensorFileRecord> record =
        text.ok() ? TensorFileRecord::Parse(*text, name) : Result<TensorFileRecord>(text.status());
    if (!record.ok()) {
      GiveUp(record.status());
      return Status();
    }
    shard_files_[name] = *record;
    bytes_ += record->bytes;
    is_reported_[s] = true;
    if (std::ranges::all_of(is_reported_, [](bool is) { return is; })) {
      background_->AddShards(std::exchange(shard_files_, {}));
    }
  }
  const Status outcome = background_->outcome();
  if (outcome.ok()) {
    Complete();
  } else if (outcome.code() != StatusCode::kUnavailable) {
    GiveUp(outcome);
  }
  return Status();
}

void CheckpointWriter::GiveUp(const Status& why) {
  const bool is_committed = !background_->GiveUp();
  if (is_committed) {  // meanwhile
    Complete();
    return;
  }
  ++summary_.failed;
  spdlog::warn("checkpoint of step {}: {}; training goes on, earlier checkpoints stay", open_->step,
               why.message());
  shard_files_.clear();
  open_.reset();
}

void CheckpointWriter::Complete() {
  ++summary_.written;
  summary_.bytes += bytes_;
  summary_.seconds += since_step_.seconds();
  spdlog::debug("checkpoint of step {}: {} bytes in {:.3f} s", open_->step, bytes_,
                since_step_.seconds());
  open_.reset();
}

bool CheckpointWriter::IsBusy() const {
  return open_ || (background_ != nullptr && !background_->has_ended());
}

std::string CheckpointWriter::HangText() const {
  std::string text = background_->wait_text();
  for (std::size_t s = 0; text.empty() && s < shard_waits_.size(); ++s) text = shard_waits_[s];
  return text.empty() ? text : fmt::format(" ({})", text);
}

void CheckpointWriter::ReportClearing() const {
  if (background_ == nullptr || background_->clearing().ok()) return;
  spdlog::warn("old checkpoints stay: {}", background_->clearing().message());
}

Status CheckpointWriter::Await(std::chrono::steady_clock::time_point deadline) {
  while (IsBusy()) {
    if (open_) DCN_RETURN_IF_ERROR(Advance());
    if (!IsBusy() || Clock::now() >= deadline) break;
    std::this_thread::sleep_for(kPollPause);
  }
  return Status();
}

Status CheckpointWriter::Finish() {
  if (background_ == nullptr) return Status();
  DCN_RETURN_IF_ERROR(Await(end_deadline_.value_or(Clock::now() + options_.timeout)));
  const bool is_late = open_.has_value();
  if (is_late) {
    GiveUp(Error(StatusCode::kDeadlineExceeded,
                 "it is not written within {:g} s (--checkpoint-timeout){}",
                 std::chrono::duration<double>(options_.timeout).count(), HangText()));
  }
  if (!background_->AwaitEnd(Clock::now() + kEndPatience) && !is_late) {
    spdlog::warn("the checkpoints' disk hangs and is not waited for{}", HangText());
  }
  ReportClearing();
  return Status();
}

}  // namespace dcn::checkpoint
