#include "worker/data/synthetic_folder.h"

#include <cstddef>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/file/atomic_write.h"
#include "common/file/json.h"
#include "common/file/mapped_file.h"
#include "worker/data/movielens.h"

namespace dcn::data {
namespace {

constexpr std::string_view kNoiseFloorKey = "noise_floor_rmse";
constexpr std::string_view kFingerprintKey = "fingerprint";

std::string NoteText(const SyntheticSpec& spec, const SyntheticFiles& files) {
  const MovieLensText text{.format = MovieLensFormat::kMl1m,
                           .ratings = files.ratings,
                           .users = files.users,
                           .ratings_name = {},
                           .users_name = {}};
  nlohmann::ordered_json note;
  note["about"] = "drawn ratings in the format of MovieLens-1M: no real user, movie or rating";
  note["seed"] = spec.seed;
  note["size"] = spec.size;
  note["version"] = kSyntheticVersion;
  note[kNoiseFloorKey] = files.noise_floor_rmse;
  note[kFingerprintKey] = Fingerprint(text);
  return note.dump(2) + "\n";
}

// Whether `path` holds `bytes` already. kAlreadyExists: it is there with other content.
Result<bool> IsWritten(const std::filesystem::path& path, std::string_view bytes) {
  const Result<MappedFile> file = MappedFile::Open(path);
  if (file.ok() && file->text() == bytes) return true;
  if (!file.ok() && file.status().code() == StatusCode::kNotFound) return false;
  if (!file.ok()) return file.status();
  return Error(StatusCode::kAlreadyExists,
               "{}: there is a file of other content; nothing was written. Name another folder, or "
               "remove the file",
               path.string());
}

}  // namespace

Status WriteSyntheticFolder(const std::filesystem::path& folder, const SyntheticSpec& spec) {
  std::error_code error;
  std::filesystem::create_directory(folder, error);
  if (!std::filesystem::is_directory(folder)) {
    return Error(StatusCode::kInvalidArgument, "cannot make the folder {}: {}", folder.string(),
                 error ? error.message() : "a file of that name is there");
  }
  if (std::filesystem::exists(folder / "u.data", error)) {
    return Error(StatusCode::kAlreadyExists,
                 "{}: holds MovieLens-100K's u.data; nothing was written. Name another folder",
                 folder.string());
  }

  const SyntheticFiles files = Synthesize(spec);
  const std::string note = NoteText(spec, files);
  // The order matters: see the head of the header.
  const std::pair<std::string_view, std::string_view> outputs[] = {{kSyntheticNoteName, note},
                                                                   {"movies.dat", files.movies},
                                                                   {"users.dat", files.users},
                                                                   {"ratings.dat", files.ratings}};
  std::vector<bool> is_written;
  for (const auto& [name, bytes] : outputs) {
    DCN_ASSIGN_OR_RETURN(const bool written, IsWritten(folder / name, bytes));
    is_written.push_back(written);
  }
  for (std::size_t i = 0; i < std::size(outputs); ++i) {
    const auto& [name, bytes] = outputs[i];
    if (!is_written[i]) DCN_RETURN_IF_ERROR(WriteFileAtomically(folder / name, bytes));
  }
  return Status();
}

Result<std::optional<SyntheticNote>> ReadSyntheticNote(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kSyntheticNoteName;
  const Result<MappedFile> file = MappedFile::Open(path);
  if (!file.ok()) {
    if (file.status().code() == StatusCode::kNotFound) return std::optional<SyntheticNote>();
    return Status(StatusCode::kDataLoss, file.status().message());
  }
  DCN_ASSIGN_OR_RETURN(const nlohmann::json note, ParseJson(file->text(), path.string()));
  const auto member = [&note](std::string_view key) {
    return note.is_object() ? note.value(key, nlohmann::json()) : nlohmann::json();
  };
  const nlohmann::json noise_floor = member(kNoiseFloorKey);
  const nlohmann::json fingerprint = member(kFingerprintKey);
  if (!noise_floor.is_number() || !fingerprint.is_string()) {
    return Error(StatusCode::kDataLoss, "{}: expected an object with a number {} and a text {}",
                 path.string(), kNoiseFloorKey, kFingerprintKey);
  }
  return std::optional(SyntheticNote{.noise_floor_rmse = noise_floor.get<double>(),
                                     .fingerprint = fingerprint.get<std::string>()});
}

}  // namespace dcn::data
