#include "worker/data/encoded_cache.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <spdlog/spdlog.h>

#include "common/digest.h"
#include "worker/data/encoded_file.h"
#include "worker/data/movielens.h"
#include "worker/data/synthetic.h"
#include "worker/data/synthetic_folder.h"

namespace dcn::data {
namespace {

// Raised when the same source is encoded in another way: other vocabularies, another order.
constexpr int kEncodingVersion = 1;

// The cached data, or nothing and, unless it just is not there yet, a line in the log.
std::optional<Dataset> ReadCache(const std::filesystem::path& path, std::string_view source_key) {
  Result<Dataset> cached = ReadEncodedFile(path, source_key);
  if (cached.ok()) return std::move(cached).value();
  if (cached.status().code() != StatusCode::kNotFound) {
    spdlog::warn("cache of encoded data ignored and made anew: {}", cached.status().message());
  }
  return std::nullopt;
}

void WriteCache(const std::filesystem::path& path, std::string_view source_key,
                const Dataset& dataset) {
  std::error_code ignored;  // if the folder cannot be made, neither can the file
  std::filesystem::create_directories(path.parent_path(), ignored);
  if (const Status status = WriteEncodedFile(path, source_key, dataset); !status.ok()) {
    spdlog::warn("encoded data is not cached: {}", status.message());
  }
}

// source_key: says all that the result of `parse` depends on.
template <typename Parse>
Result<Dataset> ReadThroughCache(const std::filesystem::path& cache_dir,
                                 const std::string& source_key, const Parse& parse) {
  if (cache_dir.empty()) return parse();
  const std::filesystem::path path = cache_dir / (Digest128Hex(source_key) + ".encoded");
  if (std::optional<Dataset> cached = ReadCache(path, source_key)) return *std::move(cached);
  Result<Dataset> parsed = parse();
  if (parsed.ok()) WriteCache(path, source_key, *parsed);
  return parsed;
}

Result<Dataset> LoadSynthetic(const SyntheticSpec& spec, const std::filesystem::path& cache_dir) {
  const std::string key = fmt::format("encoding {}, synthetic {}, size {}, seed {}",
                                      kEncodingVersion, kSyntheticVersion, spec.size, spec.seed);
  return ReadThroughCache(cache_dir, key,
                          [&spec] { return Result<Dataset>(SynthesizeDataset(spec)); });
}

// A line that is cut inside its last field looks like a whole one; only its line end is missing.
void WarnOfMissingLineEnd(std::string_view text, std::string_view file) {
  if (text.empty() || text.back() == '\n') return;
  const auto ends = std::count(text.begin(), text.end(), '\n');
  if (ends == 0) return;
  spdlog::warn(
      "{}:{}: the last line has no line end; if the file was cut off there, fetch it again", file,
      ends + 1);
}

Result<Dataset> LoadFolder(const std::filesystem::path& path,
                           const std::filesystem::path& cache_dir) {
  DCN_ASSIGN_OR_RETURN(const MovieLensFolder folder, MovieLensFolder::Open(path));
  DCN_ASSIGN_OR_RETURN(const std::optional<SyntheticNote> note, ReadSyntheticNote(path));
  const MovieLensText text = folder.text();
  WarnOfMissingLineEnd(text.ratings, text.ratings_name);
  WarnOfMissingLineEnd(text.users, text.users_name);
  const std::string fingerprint = Fingerprint(text);
  std::string name(FormatName(text.format));
  std::optional<double> noise_floor;
  if (note) {
    if (note->fingerprint != fingerprint) {
      return Error(StatusCode::kDataLoss,
                   "{}: expected the note on {} and {}, found one on other files: remove it if "
                   "these are not synthetic, else run dcn_data synthesize on an empty folder",
                   (path / kSyntheticNoteName).string(), text.ratings_name, text.users_name);
    }
    name = "synthetic";
    noise_floor = note->noise_floor_rmse;
  }
  const std::string key = fmt::format("encoding {}, {} {}, noise floor {}", kEncodingVersion, name,
                                      fingerprint, noise_floor.value_or(0));
  return ReadThroughCache(cache_dir, key,
                          [&] { return ParseMovieLens(text, name, fingerprint, noise_floor); });
}

}  // namespace

Result<Dataset> LoadDataset(const std::string& source, const std::filesystem::path& cache_dir) {
  if (const auto spec = FindSyntheticSource(source)) return LoadSynthetic(*spec, cache_dir);
  return LoadFolder(source, cache_dir);
}

}  // namespace dcn::data
