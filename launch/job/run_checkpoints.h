// The checkpoints of a run, over all its ranks: which one it goes on from, when new ones are
// written, and how all ranks end together after a signal.
//
//   Open            rank 0 takes the folder; all ranks agree
//   RaiseEpoch      before anyone connects to a server (rank 0)
//   Find            the newest checkpoint that verifies, if the run shall go on from one
//   Start           restores the shards, opens the writer
//   BeforeStep, AfterStep (train::StepHooks)
//   Close           waits for what is being written
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include "common/status.h"
#include "launch/job/job_ranks.h"
#include "ps/protocol.h"
#include "worker/checkpoint/checkpoint_reader.h"
#include "worker/checkpoint/checkpoint_writer.h"
#include "worker/model/model_spec.h"
#include "worker/train/trainer.h"
#include "worker/train/training_step.h"

namespace dcn::job {

struct CheckpointOptions {
  std::filesystem::path folder;  // empty: no checkpoints
  std::uint64_t every = 0;       // steps; 0: at the end, and where the run is stopped
  std::size_t keep = 2;
  bool resumes = false;          // from the newest checkpoint in the folder, if there is one
  nlohmann::json configuration;  // that decides the answer (result.json)
  std::string engine;            // in words
  std::string version;
  ps::OptimizerOptions optimizer;
  std::chrono::milliseconds step_timeout{60'000};  // of exchanges between ranks while they train
  std::chrono::milliseconds timeout{300'000};      // of the last checkpoint
};

/// Where a run goes on from.
struct ResumePoint {
  ps::Step step = 0;
  std::string checkpoint;  // its folder
};

/// Thread safety: calls come from the thread that uses the ranks' communicator.
class RunCheckpoints final : public train::StepHooks {
 public:
  /// Called by all ranks. is_stop_requested: whether this process was told to stop; asked before
  /// each step. spec and ranks outlive this.
  /// kInvalidArgument: the folder cannot be used, or holds checkpoints and the run does not resume.
  /// kUnavailable: another run uses it, or its disk is full or fails. Errors of Exchange.
  [[nodiscard]] static Result<std::unique_ptr<RunCheckpoints>> Open(
      CheckpointOptions options, const model::ModelSpec& spec,
      std::function<bool()> is_stop_requested, JobRanks& ranks);

  /// Rank 0, once: the epoch of this life of the job, above `seen`. Without checkpoints, seen + 1.
  [[nodiscard]] Result<std::uint64_t> RaiseEpoch(std::uint64_t seen);

  /// Called by all ranks. Finds what to resume from, and verifies it; newer ones that cannot be
  /// used are named, and set aside if they are damaged. kFailedPrecondition: there are checkpoints,
  /// and none that this run can go on from; kUnavailable: one of them may be readable another time.
  /// All stay where they are then. Errors of Exchange.
  [[nodiscard]] Status Find(ps::Step total_steps);
  /// Nothing: the run begins at its beginning.
  [[nodiscard]] const std::optional<ResumePoint>& resume_point() const { return resume_point_; }

  /// Called by all ranks, the shards having tables without rows. Puts the shards, `step` and
  /// `so_far` where the checkpoint has them. epoch: of RaiseEpoch. shards outlive this.
  /// Errors: those of the shards, of Exchange; kInvalidArgument where a server may not write.
  [[nodiscard]] Status Start(std::span<const ps::TableDefinition> tables, std::uint64_t epoch,
                             train::Shards& shards, train::TrainingStep& step,
                             train::Training& so_far);

  ps::StepFlags BeforeStep(ps::Step step, bool is_last) override;
  bool AfterStep(const train::TrainingStep& step, const train::Training& so_far,
                 ps::StepFlags flags) override;

  /// Why AfterStep ended this rank alone, without the others' knowing: an error of the shards.
  [[nodiscard]] const Status& failure() const { return failure_; }

  /// Called by all ranks, when no step follows: returns when the last checkpoint is written or
  /// given up, which it is after options.timeout. Errors: those of the shards; of Exchange.
  [[nodiscard]] Status Close();

  /// Rank 0's; of no checkpoints elsewhere.
  [[nodiscard]] checkpoint::WriterSummary summary() const;

 private:
  RunCheckpoints(CheckpointOptions options, const model::ModelSpec& spec,
                 std::function<bool()> is_stop_requested, JobRanks& ranks);

  [[nodiscard]] std::chrono::milliseconds StepPatience() const;
  [[nodiscard]] bool is_used() const { return !options_.folder.empty(); }
  [[nodiscard]] Status OpenFolder();
  [[nodiscard]] Status CheckFits(const checkpoint::Manifest& manifest, ps::Step total_steps) const;
  [[nodiscard]] Status CheckSharing();
  [[nodiscard]] Status CompareWithFirst(const checkpoint::Manifest& manifest);
  [[nodiscard]] Status TryCheckpoint(const std::string& name, ps::Step total_steps);
  void LeaveNewer(std::span<const checkpoint::CheckpointName> names,
                  std::span<const Status> unusable);
  [[nodiscard]] Status RestoreShards(std::span<const ps::TableDefinition> tables,
                                     const checkpoint::DensePart& dense, train::Shards& shards);

  const CheckpointOptions options_;
  const model::ModelSpec& spec_;
  const std::function<bool()> is_stop_requested_;
  JobRanks& ranks_;
  std::shared_ptr<checkpoint::CheckpointFolder> folder_;  // rank 0's; the writing threads', too
  std::optional<checkpoint::CheckpointReader> reader_;    // of what is resumed from, until Start
  std::optional<ResumePoint> resume_point_;
  std::unique_ptr<checkpoint::CheckpointWriter> writer_;  // rank 0's
  Status failure_;            // of the shards, while checkpoints were written
  bool is_last_ = false;      // the step under way is the run's last one
  bool is_stopping_ = false;  // the next step is the last one, on all ranks
};

}  // namespace dcn::job
