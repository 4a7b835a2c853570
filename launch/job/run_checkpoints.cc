#include "launch/job/run_checkpoints.h"

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "common/digest.h"
#include "common/file/read_file.h"
#include "launch/job/agreement.h"
#include "ps/server/snapshot_place.h"
#include "worker/checkpoint/checkpoint_folder.h"
#include "worker/communicator/collectives.h"
#include "worker/export/json_difference.h"

namespace dcn::job {
namespace {

// A run that was killed a moment ago may still hold the folder.
constexpr std::chrono::milliseconds kLockPatience{5000};

// How long a step may be held up by checkpoints.
constexpr std::chrono::milliseconds kMaxStepPatience{20'000};

// What may be another in a run that goes on: how far it goes.
constexpr const char* kMayDiffer[] = {"epochs", "max_steps"};

// How long another machine may see a file as it was before rank 0 wrote it anew.
constexpr std::chrono::milliseconds kSharingPatience{10'000};

// What keeps a rank from reading a checkpoint; in codes that no exchange between ranks gives.
constexpr StatusCode kDamaged = StatusCode::kNotFound;          // for good
constexpr StatusCode kUnreadableNow = StatusCode::kOutOfRange;  // no memory, too many files, …
constexpr StatusCode kNotAllowed = StatusCode::kAlreadyExists;  // to read it

StatusCode VerdictOf(StatusCode error) {
  switch (error) {
    case StatusCode::kDataLoss:
    case StatusCode::kNotFound:
      return kDamaged;
    case StatusCode::kInvalidArgument:
      return kNotAllowed;
    default:
      return kUnreadableNow;
  }
}

bool IsVerdict(StatusCode code) {
  return code == kDamaged || code == kUnreadableNow || code == kNotAllowed;
}

Status NoneUsable(const std::string& folder, std::span<const Status> unusable) {
  const auto passing = std::ranges::find(unusable, kUnreadableNow, &Status::code);
  if (passing != unusable.end()) {
    return Error(StatusCode::kUnavailable, "{}: no checkpoint there can be read now ({})", folder,
                 passing->message());
  }
  return Error(StatusCode::kFailedPrecondition,
               "{}: no checkpoint there can be used ({}); a new run needs another "
               "--checkpoint-dir",
               folder, unusable.back().message());
}

nlohmann::json Comparable(nlohmann::json configuration) {
  for (const char* field : kMayDiffer) configuration.erase(field);
  return configuration;
}

}  // namespace

RunCheckpoints::RunCheckpoints(CheckpointOptions options, const model::ModelSpec& spec,
                               std::function<bool()> is_stop_requested, JobRanks& ranks)
    : options_(std::move(options)),
      spec_(spec),
      is_stop_requested_(std::move(is_stop_requested)),
      ranks_(ranks) {}

Result<std::unique_ptr<RunCheckpoints>> RunCheckpoints::Open(
    CheckpointOptions options, const model::ModelSpec& spec,
    std::function<bool()> is_stop_requested, JobRanks& ranks) {
  std::unique_ptr<RunCheckpoints> checkpoints(
      new RunCheckpoints(std::move(options), spec, std::move(is_stop_requested), ranks));
  const Status opened = ranks.is_first() ? checkpoints->OpenFolder() : Status();
  DCN_RETURN_IF_ERROR(AgreeOnStatus(ranks.communicator(), opened, "opening the checkpoints"));
  return checkpoints;
}

Status RunCheckpoints::OpenFolder() {
  if (!is_used()) return Status();
  DCN_ASSIGN_OR_RETURN(checkpoint::CheckpointFolder folder,
                       checkpoint::CheckpointFolder::Open(options_.folder, kLockPatience));
  folder_ = std::make_shared<checkpoint::CheckpointFolder>(std::move(folder));
  DCN_ASSIGN_OR_RETURN(const std::vector<checkpoint::CheckpointName> names,
                       checkpoint::ListCheckpoints(folder_->path()));
  if (names.empty() || options_.resumes) return Status();
  return Error(
      StatusCode::kInvalidArgument,
      "{} holds a checkpoint of step {}: --resume goes on from it; a new run needs another "
      "--checkpoint-dir",
      folder_->path().string(), names.front().step);
}

Result<std::uint64_t> RunCheckpoints::RaiseEpoch(std::uint64_t seen) {
  if (!is_used()) return seen + 1;
  return folder_->RaiseEpoch(seen);
}

Status RunCheckpoints::CheckFits(const checkpoint::Manifest& manifest, ps::Step total_steps) const {
  const std::string differences =
      output::DescribeDifferences(Comparable(manifest.configuration), "in the checkpoint",
                                  Comparable(options_.configuration), "now");
  if (!differences.empty()) {
    return Error(
        StatusCode::kFailedPrecondition,
        "the checkpoint of step {} is another run's: {}; give the same options, or another "
        "--checkpoint-dir",
        manifest.step, differences);
  }
  if (manifest.step > total_steps) {
    return Error(StatusCode::kFailedPrecondition,
                 "the checkpoint stands at step {}, and this run has {} steps only: give more "
                 "--epochs or --max-steps",
                 manifest.step, total_steps);
  }
  if (manifest.engine != options_.engine && ranks_.is_first()) {
    spdlog::warn("the checkpoint was written with {}, this is {}: the last bits may differ",
                 manifest.engine, options_.engine);
  }
  return Status();
}

// All ranks read the checkpoint: in the same folder, or the rows would be of different ones.
Status RunCheckpoints::CheckSharing() {
  DCN_ASSIGN_OR_RETURN(
      const std::string nonce,
      comm::BroadcastText(ranks_.communicator(), ranks_.is_first() ? folder_->nonce() : "",
                          "sharing the folder for checkpoints"));
  const auto deadline = std::chrono::steady_clock::now() + kSharingPatience;
  const auto sees_it = [&] {
    const Result<std::string> seen = ReadFile(options_.folder / ps::kNonceFile, nonce.size());
    return seen.ok() && *seen == nonce;
  };
  bool is_shared = ranks_.is_first() || sees_it();
  while (!is_shared && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    is_shared = sees_it();
  }
  const Status own =
      is_shared ? Status()
                : Error(StatusCode::kInvalidArgument,
                        "{} is not rank 0's folder for checkpoints here: --checkpoint-dir must be "
                        "on a file system that all workers share",
                        std::filesystem::absolute(options_.folder).string());
  return AgreeOnStatus(ranks_.communicator(), own, "sharing the folder for checkpoints");
}

// Whether this rank's view of the checkpoint is rank 0's.
Status RunCheckpoints::CompareWithFirst(const checkpoint::Manifest& manifest) {
  const std::string own = Digest128Hex(checkpoint::ToText(manifest));
  DCN_ASSIGN_OR_RETURN(const std::string first,
                       comm::BroadcastText(ranks_.communicator(), own, "comparing a checkpoint"));
  const Status status =
      own == first ? Status()
                   : Status(kUnreadableNow, "its manifest is not the one that rank 0 reads");
  return AgreeOnStatus(ranks_.communicator(), status, "comparing a checkpoint");
}

// Where it is none of the verdicts, it is not the checkpoint's reading that failed.
Status RunCheckpoints::TryCheckpoint(const std::string& name, ps::Step total_steps) {
  Result<checkpoint::CheckpointReader> reader = checkpoint::CheckpointReader::Open(
      options_.folder / name, static_cast<std::size_t>(ranks_.rank()),
      static_cast<std::size_t>(ranks_.size()));
  Status own =
      reader.ok() ? Status() : Status(VerdictOf(reader.status().code()), reader.status().message());
  std::error_code error;
  if (own.code() == kDamaged && !std::filesystem::exists(options_.folder / name, error)) {
    // Rank 0 has just listed it.
    own = Error(kUnreadableNow, "{} is not there", (options_.folder / name).string());
  }
  DCN_RETURN_IF_ERROR(AgreeOnStatus(ranks_.communicator(), own, "verifying a checkpoint"));
  DCN_RETURN_IF_ERROR(CompareWithFirst(reader->manifest()));
  DCN_RETURN_IF_ERROR(CheckFits(reader->manifest(), total_steps));
  resume_point_ = {.step = reader->manifest().step,
                   .checkpoint = (options_.folder / name).string()};
  reader_.emplace(*std::move(reader));
  return Status();
}

// What becomes of the first names, which are unusable. They would count among those that are kept.
// Where none is whole they stay in their places: the next run shall not take the folder for an
// empty one.
void RunCheckpoints::LeaveNewer(std::span<const checkpoint::CheckpointName> names,
                                std::span<const Status> unusable) {
  for (std::size_t i = 0; i < unusable.size(); ++i) {
    if (unusable[i].code() == kDamaged) {
      const Status aside = folder_->SetAside(names[i]);
      if (aside.ok()) continue;
      spdlog::warn("{}", aside.message());
    }
    folder_->PassOver(names[i]);
  }
}

Status RunCheckpoints::Find(ps::Step total_steps) {
  if (!is_used() || !options_.resumes) return Status();
  std::vector<checkpoint::CheckpointName> names;
  if (ranks_.is_first()) {
    DCN_ASSIGN_OR_RETURN(names, checkpoint::ListCheckpoints(folder_->path()));
  }
  DCN_RETURN_IF_ERROR(CheckSharing());
  std::vector<Status> unusable;  // of the first names, why
  for (std::size_t i = 0;; ++i) {
    DCN_ASSIGN_OR_RETURN(
        const std::string name,
        comm::BroadcastText(ranks_.communicator(), i < names.size() ? names[i].folder() : "",
                            "choosing a checkpoint"));
    if (name.empty()) break;
    const Status tried = TryCheckpoint(name, total_steps);
    if (tried.ok() && ranks_.is_first()) {
      spdlog::info("resumed from step {} of checkpoint {}{}", resume_point_->step,
                   resume_point_->checkpoint,
                   unusable.empty() ? "" : "; newer ones cannot be used, see above");
      LeaveNewer(names, unusable);
    }
    if (!IsVerdict(tried.code())) return tried;
    if (ranks_.is_first()) {
      spdlog::warn("checkpoint {} cannot be used: {}", name, tried.message());
    }
    unusable.push_back(tried);
  }
  if (!unusable.empty()) return NoneUsable(options_.folder.string(), unusable);
  if (ranks_.is_first()) {
    spdlog::info("{}: no checkpoint yet, the run begins at its beginning",
                 options_.folder.string());
  }
  return Status();
}

Status RunCheckpoints::RestoreShards(std::span<const ps::TableDefinition> tables,
                                     const checkpoint::DensePart& dense, train::Shards& shards) {
  Status status;
  if (ranks_.is_first()) {
    for (std::size_t s = 0; s < shards.size() && status.ok(); ++s) {
      status = shards[s]->BeginRestore(dense.step_sizes.size(), dense.step_sizes);
    }
  }
  DCN_RETURN_IF_ERROR(AgreeOnStatus(ranks_.communicator(), status, "beginning to restore"));
  status = reader_->RestoreRows(tables, shards);
  return AgreeOnStatus(ranks_.communicator(), status, "restoring rows");
}

Status RunCheckpoints::Start(std::span<const ps::TableDefinition> tables, std::uint64_t epoch,
                             train::Shards& shards, train::TrainingStep& step,
                             train::Training& so_far) {
  if (!is_used()) return Status();
  ranks_.SetTimeout(kPatience);  // one rank may have more to restore than others
  if (reader_) {
    Result<checkpoint::DensePart> dense = reader_->ReadDense(spec_, options_.optimizer);
    // It verified: what does not fit now is not of this model.
    const Status own =
        dense.ok() ? Status() : Status(StatusCode::kFailedPrecondition, dense.status().message());
    DCN_RETURN_IF_ERROR(AgreeOnStatus(ranks_.communicator(), own, "reading a checkpoint"));
    DCN_RETURN_IF_ERROR(RestoreShards(tables, *dense, shards));
    so_far = reader_->manifest().training;
    so_far.losses = std::move(dense->losses);
    DCN_CHECK(step.Restore(std::move(dense->state), std::move(dense->step_sizes)));
    reader_.reset();
  }
  Status opened;
  if (ranks_.is_first()) {
    writer_ = std::make_unique<checkpoint::CheckpointWriter>(
        checkpoint::WriterOptions{.every = options_.every,
                                  .keep = options_.keep,
                                  .epoch = epoch,
                                  .configuration = options_.configuration,
                                  .engine = options_.engine,
                                  .version = options_.version,
                                  .optimizer = options_.optimizer,
                                  .timeout = options_.timeout,
                                  .step_patience = StepPatience()},
        folder_, spec_, shards);
    opened = writer_->Open();
    const Status removed = folder_->RemoveOld(options_.keep, epoch);
    if (!removed.ok()) spdlog::warn("{}", removed.message());
  }
  opened = AgreeOnStatus(ranks_.communicator(), opened, "opening snapshots");
  ranks_.SetTimeout(options_.step_timeout);
  return opened;
}

ps::StepFlags RunCheckpoints::BeforeStep(ps::Step step, bool is_last) {
  is_last_ = is_last;
  ps::StepFlags flags = 0;
  if (is_stop_requested_()) flags |= ps::kWantsStop;
  if (writer_ != nullptr && writer_->BeginStep(step, is_last || is_stopping_)) {
    flags |= ps::kTakesSnapshot;
  }
  return flags;
}

// All ranks see the same flags at the same step. With checkpoints, one more step may follow, for
// the state to be kept: the wish for a snapshot travels with a step's push.
bool RunCheckpoints::AfterStep(const train::TrainingStep& step, const train::Training& so_far,
                               ps::StepFlags flags) {
  if (writer_ != nullptr && failure_.ok()) failure_ = writer_->EndStep(step, so_far);
  if (!failure_.ok()) return false;
  if (is_last_) return true;  // all is trained: a wish to stop comes too late
  if (is_stopping_) return false;
  if ((flags & ps::kWantsStop) == 0) return true;
  if (!is_used() || (flags & ps::kTakesSnapshot) != 0) return false;
  is_stopping_ = true;
  return true;
}

Status RunCheckpoints::Close() {
  if (!is_used()) return Status();
  ranks_.SetTimeout(kPatience + options_.timeout);
  Status status = failure_;
  if (writer_ != nullptr && status.ok()) status = writer_->Finish();
  status = AgreeOnStatus(ranks_.communicator(), status, "finishing the last checkpoint");
  ranks_.SetTimeout(options_.step_timeout);
  return status;
}

// A step waits at most twice for so long, while other ranks wait for that step.
std::chrono::milliseconds RunCheckpoints::StepPatience() const {
  return std::min({kMaxStepPatience, options_.step_timeout / 4, options_.timeout});
}

checkpoint::WriterSummary RunCheckpoints::summary() const {
  return writer_ != nullptr ? writer_->summary() : checkpoint::WriterSummary{};
}

}  // namespace dcn::job
