#include "worker/export/result.h"

#include <system_error>

#include "common/file/atomic_write.h"
#include "common/file/mapped_file.h"
#include "worker/export/json_difference.h"

namespace dcn::output {
namespace {

using nlohmann::json;

Status CreateFolder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return Error(StatusCode::kInvalidArgument, "cannot create the output folder {}: {}",
                 folder.string(), error.message());
  }
  return {};
}

}  // namespace

Status WriteResult(const std::filesystem::path& folder, const RunResult& result) {
  const std::string text = ToJson(result).dump(2, ' ', false, json::error_handler_t::replace);
  return WriteFileAtomically(folder / kResultFile, text + "\n");
}

Result<RunResult> ReadResult(const std::filesystem::path& path) {
  DCN_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  return ParseResult(file.text(), path.string());
}

Status CheckOutput(const std::filesystem::path& folder, const json& configuration) {
  DCN_RETURN_IF_ERROR(CreateFolder(folder));
  const std::filesystem::path path = folder / kResultFile;
  // Opens a temporary beside it and drops it again: the folder takes files.
  if (const auto probe = AtomicFile::Create(path); !probe.ok()) return probe.status();

  const Result<RunResult> present = ReadResult(path);
  if (present.status().code() == StatusCode::kNotFound) return {};
  constexpr const char* kAdvice = "choose another output folder";
  if (!present.ok()) {
    return Error(StatusCode::kAlreadyExists,
                 "output folder {} holds a result that cannot be read ({}); {}", folder.string(),
                 present.status().message(), kAdvice);
  }
  const std::string differences =
      DescribeDifferences(present->configuration, "there", configuration, "now");
  if (differences.empty()) return {};
  return Error(StatusCode::kAlreadyExists,
               "output folder {} holds the result of another configuration ({}); {}",
               folder.string(), differences, kAdvice);
}

}  // namespace dcn::output
