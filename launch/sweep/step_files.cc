#include "launch/sweep/step_files.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <optional>
#include <string_view>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

#include "common/digest.h"
#include "common/file/file_descriptor.h"
#include "worker/export/step_file.h"

namespace dcn::sweep {

namespace fs = std::filesystem;

namespace {

std::optional<std::size_t> ParseAttempt(std::string_view text) {
  std::size_t attempt = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), attempt);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return attempt;
}

}  // namespace

fs::path StepFiles::Prefix(const PlannedRun& run) const {
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(run.folder, error);
  const std::string& place = (error ? run.folder : canonical).native();
  return folder_ / fmt::format("dcn-steps-{}-{:016x}", ::geteuid(), Checksum64(place));
}

fs::path StepFiles::File(const PlannedRun& run, std::size_t attempt) const {
  return fmt::format("{}.{}", Prefix(run).native(), attempt);
}

std::vector<std::size_t> StepFiles::Attempts(const PlannedRun& run) const {
  const std::string start = Prefix(run).filename().native() + ".";
  std::vector<std::size_t> attempts;
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (!name.starts_with(start)) continue;
    const auto attempt = ParseAttempt(std::string_view(name).substr(start.size()));
    if (attempt) attempts.push_back(*attempt);
  }
  std::ranges::sort(attempts);
  return attempts;
}

Status StepFiles::Renew(const PlannedRun& run) const {
  Remove(run);
  const fs::path file = File(run, 0);
  // O_EXCL: others may make files in the folder, too.
  const FileDescriptor made(
      ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (made.is_open()) return Status();
  return FileError(OpenErrorCode(errno), "cannot make", file, errno);
}

void StepFiles::Remove(const PlannedRun& run) const {
  for (const std::size_t attempt : Attempts(run)) {
    std::error_code ignored;
    fs::remove(File(run, attempt), ignored);
  }
}

AttemptSteps StepFiles::Read(const PlannedRun& run, std::size_t attempt,
                             const AttemptSteps& otherwise) const {
  const Result<output::StepReport> report = output::ReadStepFile(File(run, attempt));
  if (!report.ok()) return otherwise;
  if (report->phase == output::StepPhase::kBefore) return {.is_exact = true};
  return {.resumed_from = report->resumed_from,
          .last = report->last_step,
          .is_exact = true,
          .first_step_at = report->first_step_at};
}

std::vector<AttemptSteps> StepFiles::ReadLeft(const PlannedRun& run) const {
  std::vector<std::size_t> attempts = Attempts(run);
  const std::size_t last = attempts.empty() ? 0 : attempts.back();
  std::vector<AttemptSteps> left;
  for (const std::size_t attempt : attempts) {
    const AttemptSteps steps = Read(run, attempt, {});
    if (attempt != last && steps.is_exact) left.push_back(steps);
  }
  left.push_back(Read(run, last, ReadAttemptSteps(run.log_file())));
  return left;
}

}  // namespace dcn::sweep
