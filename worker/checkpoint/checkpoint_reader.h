// Reads a checkpoint: finds out whether it is whole, and gives its parts to a run of any number of
// ranks and shards.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "common/file/safetensors.h"
#include "common/status.h"
#include "ps/protocol.h"
#include "worker/checkpoint/dense_file.h"
#include "worker/checkpoint/manifest.h"
#include "worker/train/training_step.h"

namespace dcn::checkpoint {

/// What one rank has of a checkpoint: the dense file and its share of the shards' files, verified
/// and mapped. Move-only. Thread safety: none.
class CheckpointReader {
 public:
  /// Opens and verifies the files of the checkpoint in `folder`: the dense one, and those of every
  /// ranks-th shard from `rank` on. One rank of one has all of it.
  /// kNotFound, kDataLoss: a file is missing or not what the manifest says; the file, the place.
  /// kInvalidArgument: a file may not be read. kInternal: it cannot be read now.
  [[nodiscard]] static Result<CheckpointReader> Open(const std::filesystem::path& folder,
                                                     std::size_t rank, std::size_t ranks);

  [[nodiscard]] const Manifest& manifest() const { return manifest_; }
  /// By name.
  [[nodiscard]] const std::map<std::string, SafetensorsFile>& files() const { return files_; }

  /// Errors: ReadDenseFile's.
  [[nodiscard]] Result<DensePart> ReadDense(const model::ModelSpec& spec,
                                            const ps::OptimizerOptions& optimizer) const;

  /// Sends the rows of this rank's files to the shards that they belong to now, which stand at the
  /// checkpoint's step (ShardClient::BeginRestore). Errors: ReadSnapshotTable's, RestoreRows'.
  [[nodiscard]] Status RestoreRows(std::span<const ps::TableDefinition> tables,
                                   train::Shards& shards) const;

 private:
  explicit CheckpointReader(Manifest manifest) : manifest_(std::move(manifest)) {}

  Manifest manifest_;
  std::map<std::string, SafetensorsFile> files_;
};

}  // namespace dcn::checkpoint
