#include "worker/export/step_file.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <span>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <spdlog/spdlog.h>

namespace dcn::output {
namespace {

using Clock = std::chrono::steady_clock;

enum Word : std::size_t { kFormat, kPhase, kResumedFrom, kLastStep, kFirstStepAt, kWords };
using Words = std::array<std::uint64_t, kWords>;

constexpr std::uint64_t kThisFormat = 0x317370657473'6364;  // "dcsteps1"

std::uint64_t Number(Clock::time_point moment) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(moment.time_since_epoch()).count());
}

Clock::time_point Moment(std::uint64_t number) {
  return Clock::time_point(std::chrono::nanoseconds(static_cast<std::int64_t>(number)));
}

/// All words of the file; nothing where there are fewer.
std::optional<Words> ReadWords(int file) {
  Words words{};
  const auto bytes = std::as_writable_bytes(std::span(words));
  if (::pread(file, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return std::nullopt;
  }
  return words;
}

bool IsStepFile(const Words& words) {
  return words[kFormat] == kThisFormat &&
         words[kPhase] >= static_cast<std::uint64_t>(StepPhase::kBefore) &&
         words[kPhase] <= static_cast<std::uint64_t>(StepPhase::kAfter);
}

}  // namespace

Result<StepFile> StepFile::Open(const std::filesystem::path& file) {
  // O_NONBLOCK: opening a pipe must not wait for its reader.
  FileDescriptor descriptor(::open(file.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!descriptor.is_open()) return FileError(OpenErrorCode(errno), "cannot open", file, errno);
  struct stat present = {};
  if (::fstat(descriptor.get(), &present) != 0) {
    return FileError(StatusCode::kInternal, "cannot read the size of", file, errno);
  }
  const std::optional<Words> words = ReadWords(descriptor.get());
  if (!S_ISREG(present.st_mode) || (present.st_size != 0 && !(words && IsStepFile(*words)))) {
    return Error(StatusCode::kInvalidArgument,
                 "{} is neither an empty file nor one of an earlier run's steps", file.string());
  }
  if (::ftruncate(descriptor.get(), 0) != 0) {
    return FileError(StatusCode::kInternal, "cannot empty", file, errno);
  }
  StepFile steps(file.string(), std::move(descriptor));
  // The format last: before it this is no step file.
  for (const auto& [word, value] : {std::pair(kFirstStepAt, std::uint64_t{0}),
                                    {kLastStep, 0},
                                    {kResumedFrom, 0},
                                    {kPhase, static_cast<std::uint64_t>(StepPhase::kBefore)},
                                    {kFormat, kThisFormat}}) {
    DCN_RETURN_IF_ERROR(steps.Write(word, value));
  }
  return steps;
}

Status StepFile::Write(std::size_t word, std::uint64_t value) {
  const auto offset = static_cast<off_t>(word * sizeof(value));
  if (::pwrite(file_.get(), &value, sizeof(value), offset) == sizeof(value)) return Status();
  return FileError(StatusCode::kInternal, "cannot write", name_, errno);
}

void StepFile::Tell(std::size_t word, std::uint64_t value) {
  if (!file_.is_open()) return;
  const Status written = Write(word, value);
  if (written.ok()) return;
  spdlog::warn("{}; from here on the steps of this run are not told", written.message());
  // A number that does not move any more would be a wrong one.
  if (::ftruncate(file_.get(), 0) != 0) spdlog::warn("{} tells a wrong step", name_);
  file_.Close();
}

void StepFile::BeginSteps(std::uint64_t resumed_from) {
  Tell(kResumedFrom, resumed_from);
  Tell(kLastStep, resumed_from);
  Tell(kPhase, static_cast<std::uint64_t>(StepPhase::kSteps));
}

void StepFile::TakeStep(std::uint64_t step) {
  if (std::exchange(is_first_step_, false)) Tell(kFirstStepAt, Number(Clock::now()));
  Tell(kLastStep, step);
}

void StepFile::EndSteps() { Tell(kPhase, static_cast<std::uint64_t>(StepPhase::kAfter)); }

Result<StepReport> ReadStepFile(const std::filesystem::path& file) {
  const FileDescriptor descriptor(
      ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!descriptor.is_open()) {
    const StatusCode code = errno == ENOENT ? StatusCode::kNotFound : OpenErrorCode(errno);
    return FileError(code, "cannot open", file, errno);
  }
  struct stat present = {};
  if (::fstat(descriptor.get(), &present) != 0) {
    return FileError(StatusCode::kInternal, "cannot read the owner of", file, errno);
  }
  const std::optional<Words> words = ReadWords(descriptor.get());
  if (!S_ISREG(present.st_mode) || present.st_uid != ::geteuid() || !words || !IsStepFile(*words)) {
    return Error(StatusCode::kDataLoss, "{} tells no steps of a run of this user", file.string());
  }
  StepReport report{.phase = static_cast<StepPhase>((*words)[kPhase]),
                    .resumed_from = (*words)[kResumedFrom],
                    .last_step = (*words)[kLastStep],
                    .first_step_at = std::nullopt};
  if ((*words)[kFirstStepAt] != 0) report.first_step_at = Moment((*words)[kFirstStepAt]);
  return report;
}

}  // namespace dcn::output
