#include "launch/main/checkpoint_text.h"

#include <cstdint>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "worker/checkpoint/checkpoint_folder.h"
#include "worker/checkpoint/checkpoint_reader.h"

namespace dcn::launch {
namespace {

namespace fs = std::filesystem;

Status Unusable(const Status& why) {
  return Status(StatusCode::kFailedPrecondition, why.message());
}

Result<fs::path> FindFolder(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder / checkpoint::kManifestFile, error)) return folder;
  const auto names = checkpoint::ListCheckpoints(folder);
  if (!names.ok()) return Unusable(names.status());
  if (names->empty()) {
    return Error(StatusCode::kFailedPrecondition, "{}: no checkpoint there (no {})",
                 folder.string(), checkpoint::kManifestFile);
  }
  return folder / names->front().folder();
}

// Rows of each table, over all shards.
std::map<std::string, std::uint64_t> CountRows(const checkpoint::CheckpointReader& reader) {
  constexpr std::string_view kKeys = "/keys";
  std::map<std::string, std::uint64_t> rows;
  for (const auto& [name, file] : reader.files()) {
    for (const TensorInfo& tensor : file.infos()) {
      if (!tensor.name.ends_with(kKeys) || tensor.dtype != Dtype::kU64) continue;
      rows[tensor.name.substr(0, tensor.name.size() - kKeys.size())] += tensor.shape.at(0);
    }
  }
  return rows;
}

}  // namespace

Result<std::string> DescribeCheckpoint(const fs::path& folder) {
  DCN_ASSIGN_OR_RETURN(const fs::path found, FindFolder(folder));
  const auto reader = checkpoint::CheckpointReader::Open(found, 0, 1);
  if (!reader.ok()) return Unusable(reader.status());
  const checkpoint::Manifest& manifest = reader->manifest();
  std::string text = fmt::format(
      "checkpoint {}\n  step {}, epoch {} of the job, {} rows trained in {:.2f} s\n"
      "  written by dcn {}, {}\n",
      found.string(), manifest.step, manifest.epoch, manifest.training.rows,
      manifest.training.seconds, manifest.version, manifest.engine);
  for (const auto& [table, rows] : CountRows(*reader)) {
    text += fmt::format("  {}: {} rows\n", table, rows);
  }
  for (const auto& [name, record] : manifest.files) {
    text += fmt::format("  {}: {} bytes, verified\n", name, record.bytes);
  }
  return text + "  configuration " + manifest.configuration.dump() + "\n";
}

}  // namespace dcn::launch
