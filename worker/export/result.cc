#include "worker/export/result.h"

#include <algorithm>
#include <system_error>

#include "common/file/atomic_write.h"
#include "common/file/mapped_file.h"

namespace dcn::output {
namespace {

using nlohmann::json;

/// As many differing fields does a message name.
constexpr std::size_t kNamedDifferences = 4;

/// A value in a message: cut where it is long.
std::string Shown(const json& value) {
  constexpr std::size_t kLongest = 60;
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "…";
  return text;
}

/// Lists what differs, as "<field>: <there> there, <now> now", in the order of names. Objects are
/// compared field by field, anything else as a whole.
void ListDifferences(const json& there, const json& now, const std::string& prefix,
                     std::vector<std::string>& differences) {
  const auto field = [&prefix](const std::string& key) {
    return prefix.empty() ? key : prefix + "." + key;
  };
  for (const auto& [key, value] : now.items()) {
    const auto found = there.find(key);
    if (found == there.end()) {
      differences.push_back(fmt::format("{}: absent there, {} now", field(key), Shown(value)));
    } else if (found->is_object() && value.is_object()) {
      ListDifferences(*found, value, field(key), differences);
    } else if (*found != value) {
      differences.push_back(
          fmt::format("{}: {} there, {} now", field(key), Shown(*found), Shown(value)));
    }
  }
  for (const auto& [key, value] : there.items()) {
    if (!now.contains(key)) {
      differences.push_back(fmt::format("{}: {} there, absent now", field(key), Shown(value)));
    }
  }
}

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
  constexpr const char* kAdvice = "choose another output folder, or remove this one";
  if (!present.ok()) {
    return Error(StatusCode::kAlreadyExists,
                 "output folder {} holds a result that cannot be read ({}); {}", folder.string(),
                 present.status().message(), kAdvice);
  }
  std::vector<std::string> differences;
  ListDifferences(present->configuration, configuration, "", differences);
  if (differences.empty()) return {};
  std::string list;
  for (std::size_t i = 0; i < std::min(differences.size(), kNamedDifferences); ++i) {
    list += (i == 0 ? "" : "; ") + differences[i];
  }
  if (differences.size() > kNamedDifferences) {
    list += fmt::format("; and {} more", differences.size() - kNamedDifferences);
  }
  return Error(StatusCode::kAlreadyExists,
               "output folder {} holds the result of another configuration ({}); {}",
               folder.string(), list, kAdvice);
}

}  // namespace dcn::output
