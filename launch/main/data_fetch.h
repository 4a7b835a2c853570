// Fetches an official MovieLens archive: download, check, unpack, try to read, then move in place.
//
// Whatever interrupts it, the same call goes on: a partial download is resumed, and the data's
// folder appears in one step, when all of it is known to be good.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "common/status.h"

namespace dcn::launch {

/// An archive and what to find in it.
struct MovieLensArchive {
  std::string name;  // "ml-1m": the archive's folder, and the data's under `directory`
  std::string url;
  std::string md5;  // 32 hex digits in lower case
};

/// kInvalidArgument: no such archive; the message lists the valid names.
Result<MovieLensArchive> FindMovieLensArchive(std::string_view name);

/// Leaves the data in directory/<name> and says on stderr what it does. Data that is there already
/// and can be read is left alone.
/// kUnavailable: the download failed, now; repeat to resume. kDataLoss: the archive is not the
/// expected one, or its data (or the data that is there) is malformed. kInternal: a tool is
/// missing.
Status FetchMovieLens(const MovieLensArchive& archive, const std::filesystem::path& directory);

}  // namespace dcn::launch
