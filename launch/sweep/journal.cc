#include "launch/sweep/journal.h"

#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <string>
#include <unistd.h>
#include <utility>

#include <fmt/chrono.h>

#include "common/file/mapped_file.h"

namespace dcn::sweep {

using nlohmann::json;

Result<JournalText> ParseJournal(std::string_view text, const std::filesystem::path& file) {
  JournalText journal;
  for (std::size_t line = 1;; ++line) {
    const std::size_t end = text.find('\n', journal.whole_bytes);
    if (end == std::string_view::npos) return journal;
    json entry = json::parse(text.substr(journal.whole_bytes, end - journal.whole_bytes), nullptr,
                             /*allow_exceptions=*/false);
    if (!entry.is_object()) {
      return Error(StatusCode::kDataLoss,
                   "{}:{}: expected one JSON object a line; move the file away to go on without "
                   "the sweep's history",
                   file.string(), line);
    }
    journal.entries.push_back(std::move(entry));
    journal.whole_bytes = end + 1;
  }
}

Journal::Journal(std::filesystem::path file, FileDescriptor descriptor, JournalText text)
    : file_(std::move(file)),
      descriptor_(std::move(descriptor)),
      earlier_(std::move(text.entries)),
      whole_bytes_(text.whole_bytes) {}

Result<Journal> Journal::Open(const std::filesystem::path& file) {
  FileDescriptor descriptor(::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!descriptor.is_open()) {
    return FileError(OpenErrorCode(errno), "cannot open the journal", file, errno);
  }
  JournalText journal;
  {
    DCN_ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(file));
    DCN_ASSIGN_OR_RETURN(journal, ParseJournal(mapped.text(), file));
  }
  if (::ftruncate(descriptor.get(), static_cast<off_t>(journal.whole_bytes)) != 0) {
    return FileError(StatusCode::kInternal, "cannot repair the journal", file, errno);
  }
  return Journal(file, std::move(descriptor), std::move(journal));
}

Status Journal::RemoveTornLine() {
  if (::ftruncate(descriptor_.get(), static_cast<off_t>(whole_bytes_)) != 0) {
    return FileError(StatusCode::kInternal, "cannot repair the journal", file_, errno);
  }
  is_torn_ = false;
  return Status();
}

Status Journal::Append(json entry) {
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  entry["time"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
  // Text from a run's log may hold anything; the journal stays UTF-8.
  const std::string line = entry.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  if (is_torn_) {
    DCN_RETURN_IF_ERROR(RemoveTornLine());
  }
  is_torn_ = true;
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor_.get(), rest.data(), rest.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return FileError(StatusCode::kInternal, "cannot write the journal", file_, errno);
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  is_torn_ = false;
  whole_bytes_ += line.size();
  if (::fdatasync(descriptor_.get()) != 0) {
    return FileError(StatusCode::kInternal, "cannot sync the journal", file_, errno);
  }
  return Status();
}

}  // namespace dcn::sweep
