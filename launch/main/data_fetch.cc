#include "launch/main/data_fetch.h"

#include <cstdio>
#include <system_error>
#include <unistd.h>
#include <vector>

#include <fmt/core.h>

#include "launch/main/tool_process.h"
#include "worker/data/encoded_cache.h"

namespace dcn::launch {
namespace {

namespace fs = std::filesystem;

const MovieLensArchive kArchives[] = {
    {"ml-1m", "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
     "c4d9eecfca2ab87c1945afe126590906"},
    {"ml-100k", "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
     "0e33842e24a9c977be4e0107933c0723"},
};

// curl's exit codes that mean: this file cannot be continued, start anew.
constexpr int kCurlHttpError = 22;  // among others 416, the range is not there
constexpr int kCurlNoRanges = 33;
constexpr int kCurlBadResume = 36;
constexpr int kCurlWriteError = 23;

void Say(std::string_view line) { fmt::print(stderr, "{}\n", line); }

bool HasBytes(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return !error && size > 0;
}

Status Remove(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (!error) return Status();
  return Error(StatusCode::kInternal, "cannot remove {}: {}", path.string(), error.message());
}

Result<int> RunCurl(const std::string& url, const fs::path& file) {
  std::vector<std::string> argv = {"curl", "--fail", "--location"};
  // No transfer may hang: no connection within 30 s, or a minute of silence, is a failure.
  for (const char* option : {"--connect-timeout", "30", "--speed-limit", "1", "--speed-time", "60",
                             "--retry", "2", "--continue-at", "-"}) {
    argv.emplace_back(option);
  }
  if (::isatty(STDERR_FILENO) != 0) {
    argv.emplace_back("--progress-bar");
  } else {
    argv.emplace_back("--silent");
    argv.emplace_back("--show-error");
  }
  argv.insert(argv.end(), {"--output", file.string(), "--url", url});
  DCN_ASSIGN_OR_RETURN(const ToolResult result, RunTool(argv, ToolOutput::kInherited));
  return result.exit_code;
}

// Downloads what `file` lacks of the archive.
Status Download(const std::string& url, const fs::path& file) {
  const bool resumes = HasBytes(file);
  Say(fmt::format("{} {}", resumes ? "resuming the download of" : "downloading", url));
  DCN_ASSIGN_OR_RETURN(int exit_code, RunCurl(url, file));
  const bool cannot_resume =
      exit_code == kCurlHttpError || exit_code == kCurlNoRanges || exit_code == kCurlBadResume;
  if (resumes && cannot_resume) {
    Say("the server does not resume this download: starting anew");
    DCN_RETURN_IF_ERROR(Remove(file));
    DCN_ASSIGN_OR_RETURN(exit_code, RunCurl(url, file));
  }
  if (exit_code == 0) return Status();
  if (exit_code == kCurlWriteError) {
    return Error(StatusCode::kInvalidArgument,
                 "cannot write {}: curl's message is above; make room or name another --directory",
                 file.string());
  }
  return Error(StatusCode::kUnavailable,
               "cannot download {}: curl ended with code {} (its message is above). Repeat the "
               "command to go on where it stopped; without a network, use --data synthetic",
               url, exit_code);
}

Result<std::string> Md5(const fs::path& file) {
  DCN_ASSIGN_OR_RETURN(const ToolResult result, RunTool({"md5sum"}, ToolOutput::kCaptured, file));
  constexpr std::size_t kDigits = 32;
  if (result.exit_code != 0 || result.output.size() < kDigits) {
    return Error(StatusCode::kInternal, "md5sum failed on {} with code {}", file.string(),
                 result.exit_code);
  }
  return result.output.substr(0, kDigits);
}

// Leaves the whole, checked archive in `file`, which may hold a part of it, or anything.
Status DownloadChecked(const MovieLensArchive& archive, const fs::path& file) {
  std::string md5;
  for (;;) {
    const bool had_bytes = HasBytes(file);
    if (had_bytes) {
      DCN_ASSIGN_OR_RETURN(md5, Md5(file));
      if (md5 == archive.md5) return Status();
    }
    DCN_RETURN_IF_ERROR(Download(archive.url, file));
    DCN_ASSIGN_OR_RETURN(md5, Md5(file));
    if (md5 == archive.md5) return Status();
    DCN_RETURN_IF_ERROR(Remove(file));
    if (!had_bytes) break;  // a download from the first byte on: another one gives the same
    Say("the partial download was not a part of this archive: starting anew");
  }
  return Error(StatusCode::kDataLoss, "{}: expected an archive with md5 {}, found {}", archive.url,
               archive.md5, md5);
}

// Unpacks the archive into an empty folder `unpacked` and checks that its data can be read.
Status Unpack(const MovieLensArchive& archive, const fs::path& file, const fs::path& unpacked) {
  DCN_RETURN_IF_ERROR(Remove(unpacked));
  DCN_ASSIGN_OR_RETURN(const ToolResult unzip,
                       RunTool({"unzip", "-q", "-o", file.string(), "-d", unpacked.string()},
                               ToolOutput::kInherited));
  if (unzip.exit_code != 0) {
    return Error(StatusCode::kDataLoss, "unzip could not unpack {} into {}: code {}", file.string(),
                 unpacked.string(), unzip.exit_code);
  }
  return data::LoadDataset((unpacked / archive.name).string()).status();
}

}  // namespace

Result<MovieLensArchive> FindMovieLensArchive(std::string_view name) {
  for (const MovieLensArchive& archive : kArchives) {
    if (archive.name == name) return archive;
  }
  return Error(StatusCode::kInvalidArgument, "no archive '{}': expected ml-1m or ml-100k", name);
}

Status FetchMovieLens(const MovieLensArchive& archive, const fs::path& directory) {
  const fs::path target = directory / archive.name;
  const fs::path file = directory / (archive.name + ".zip.part");
  const fs::path unpacked = directory / (archive.name + ".unpacking");
  std::error_code error;
  if (fs::exists(target, error)) {
    const Status status = data::LoadDataset(target.string()).status();
    if (status.ok()) {
      Say(fmt::format("{}: the data is there already", target.string()));
      return Status();
    }
    return Error(status.code(), "{} (remove {} to fetch it again)", status.message(),
                 target.string());
  }
  fs::create_directories(directory, error);
  if (error) {
    return Error(StatusCode::kInvalidArgument, "cannot make the folder {}: {}", directory.string(),
                 error.message());
  }
  DCN_RETURN_IF_ERROR(DownloadChecked(archive, file));
  DCN_RETURN_IF_ERROR(Unpack(archive, file, unpacked));
  fs::rename(unpacked / archive.name, target, error);
  if (error) {
    return Error(StatusCode::kInternal, "cannot move {} to {}: {}",
                 (unpacked / archive.name).string(), target.string(), error.message());
  }
  DCN_RETURN_IF_ERROR(Remove(unpacked));
  DCN_RETURN_IF_ERROR(Remove(file));
  Say(
      fmt::format("{}: fetched and checked. MovieLens is for research and may not be passed on "
                  "without permission of GroupLens; its terms are in {}",
                  target.string(), (target / "README").string()));
  return Status();
}

}  // namespace dcn::launch
