// Rank 0's part of writing checkpoints: decides at which steps, writes the dense part beside
// training, gathers what the shards have written, commits.
//
//   BeginStep(t)   has the checkpoint's folder made; the push of t carries kTakesSnapshot
//   EndStep(t)     copies the dense state; a thread writes it while training goes on
//   each step      asks the shards how far they are; once all is there, the thread writes the
//                  manifest and removes what is too old (background_checkpoint.h)
// A checkpoint that fails is given up and said so; training goes on, and so does the next one.
// While a disk hangs, none is begun.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/clock.h"
#include "common/status.h"
#include "ps/protocol.h"
#include "worker/checkpoint/background_checkpoint.h"
#include "worker/checkpoint/checkpoint_folder.h"
#include "worker/checkpoint/manifest.h"
#include "worker/model/model_spec.h"
#include "worker/train/trainer.h"
#include "worker/train/training_step.h"

namespace dcn::checkpoint {

struct WriterOptions {
  std::uint64_t every = 0;  // steps; 0: only where one is asked for
  std::size_t keep = 2;     // checkpoints
  std::uint64_t epoch = 0;  // of the job
  nlohmann::json configuration;
  std::string engine;
  std::string version;
  ps::OptimizerOptions optimizer;
  // How long the end of the run waits for checkpoints: from the step that is asked for on, if any.
  std::chrono::milliseconds timeout = std::chrono::minutes(5);
  // How long a step that is asked for waits for the checkpoint before, and for its own folder:
  // other ranks wait for that step.
  std::chrono::milliseconds step_patience = std::chrono::seconds(20);
};

/// What was written.
struct WriterSummary {
  std::uint64_t written = 0;
  std::uint64_t failed = 0;   // given up, with a warning
  std::uint64_t skipped = 0;  // the one before was not done, or hung
  std::uint64_t bytes = 0;    // of all written
  double seconds = 0;         // from a step to its checkpoint's commit, over all written
  // The most that one step took longer for checkpoints: all of BeginStep and EndStep, and what the
  // slowest shard meanwhile spent on copying rows.
  double longest_stall_seconds = 0;
};

/// Thread safety: calls come from one thread, the one that uses the shards.
class CheckpointWriter {
 public:
  /// folder: shared with threads that may outlive this, where their disk hangs. spec, shards:
  /// outlive this.
  CheckpointWriter(WriterOptions options, std::shared_ptr<const CheckpointFolder> folder,
                   const model::ModelSpec& spec, train::Shards& shards);
  /// Gives up the checkpoint that is under way, within a second.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Tells the shards where snapshots go. Errors: ShardClient::OpenSnapshots'.
  [[nodiscard]] Status Open();

  /// Whether `step` shall be a checkpoint's: after every options.every steps, or because `is_asked`
  /// for. One that is asked for waits for the one before.
  [[nodiscard]] bool BeginStep(ps::Step step, bool is_asked);
  /// After every step. Errors: those of the shards, which end the run.
  [[nodiscard]] Status EndStep(const train::TrainingStep& step, const train::Training& training);

  /// When no step follows: waits for the checkpoint that is under way; gives it up where it is not
  /// there within options.timeout. Errors as EndStep.
  [[nodiscard]] Status Finish();

  [[nodiscard]] const WriterSummary& summary() const { return summary_; }

 private:
  [[nodiscard]] bool BeginIfDue(ps::Step step, bool is_asked);
  [[nodiscard]] Status GoOn(const train::TrainingStep& step, const train::Training& training);
  [[nodiscard]] Status Advance();
  void GiveUp(const Status& why);
  void Complete();
  // Whether a checkpoint is under way, or the thread of the last one has not ended.
  [[nodiscard]] bool IsBusy() const;
  // Waits until none is, or for the deadline. Errors as EndStep.
  [[nodiscard]] Status Await(std::chrono::steady_clock::time_point deadline);
  // What the disk of the last checkpoint has not answered, in brackets.
  [[nodiscard]] std::string HangText() const;
  void ReportClearing() const;

  const WriterOptions options_;
  const std::shared_ptr<const CheckpointFolder> folder_;
  const model::ModelSpec& spec_;
  train::Shards& shards_;
  WriterSummary summary_;
  std::optional<CheckpointName> open_;                   // under way
  std::vector<bool> is_reported_;                        // by shard: its file is there
  std::map<std::string, TensorFileRecord> shard_files_;  // of those
  std::vector<std::string> shard_waits_;                 // by shard: what its disk has not answered
  Stopwatch since_step_;
  std::vector<double> copied_seconds_;  // by shard: by which the open one has held it up so far
  double begin_seconds_ = 0;            // of this step's BeginStep
  double copying_seconds_ = 0;          // since the step before, of the slowest shard
  std::uint64_t bytes_ = 0;
  std::unique_ptr<BackgroundCheckpoint> background_;                   // of the last one
  std::optional<std::chrono::steady_clock::time_point> end_deadline_;  // of options_.timeout
};

}  // namespace dcn::checkpoint
