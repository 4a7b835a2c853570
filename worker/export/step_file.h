// The step file of a run: how far it has come, for whoever started it, whatever becomes of it.
//
// Rank 0 writes a word into it after each step. What is written is the kernel's: it survives the
// process, kill -9 included, but not the machine. So the file belongs on tmpfs (/dev/shm), where a
// write takes less than a microsecond and waits for no disk. It is written, not mapped: a mapped
// file that is cut short, or whose disk is full, is a deadly signal.
//
// Five words of 8 bytes, in the machine's byte order: format, phase, the step that this process
// went on from, the last step, when its first step was taken.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "common/file/file_descriptor.h"
#include "common/status.h"

namespace dcn::output {

enum class StepPhase : std::uint64_t {
  kBefore = 1,  // it loads and connects
  kSteps = 2,
  kAfter = 3,  // it takes no more: it evaluates and writes
};

/// What a step file tells.
struct StepReport {
  StepPhase phase = StepPhase::kBefore;
  std::uint64_t resumed_from = 0;  // a checkpoint's step; 0: the beginning, or it is kBefore
  std::uint64_t last_step = 0;     // the last step that is whole, at least resumed_from
  /// By the monotonic clock of the machine; nothing: the process has taken no step so far.
  std::optional<std::chrono::steady_clock::time_point> first_step_at = std::nullopt;
  friend bool operator==(const StepReport&, const StepReport&) = default;
};

/// Rank 0's end of it. Never costs the run anything: where a write fails the log says so once, the
/// file is emptied, and nothing is told any more. Move-only. Thread safety: none.
class StepFile {
 public:
  /// Tells nothing, to nobody.
  StepFile() = default;

  /// Takes a file that is there: in a folder that others may write to, only whoever made a file can
  /// trust its name.
  /// kInvalidArgument: it cannot be opened, or holds something else. kInternal: it cannot be
  /// written.
  static Result<StepFile> Open(const std::filesystem::path& file);

  /// The next step is resumed_from + 1.
  void BeginSteps(std::uint64_t resumed_from);
  /// A step is whole, on all shards and ranks. Allocates nothing.
  void TakeStep(std::uint64_t step);
  void EndSteps();

 private:
  StepFile(std::string name, FileDescriptor file)
      : name_(std::move(name)), file_(std::move(file)) {}
  [[nodiscard]] Status Write(std::size_t word, std::uint64_t value);
  void Tell(std::size_t word, std::uint64_t value);

  std::string name_;
  FileDescriptor file_;  // closed: nothing is told
  bool is_first_step_ = true;
};

/// What the file of this user tells, also while it is being written.
/// kNotFound: there is none. kDataLoss: it tells nothing so far, or is not a step file, or another
/// user's. kInvalidArgument, kInternal: it cannot be read.
[[nodiscard]] Result<StepReport> ReadStepFile(const std::filesystem::path& file);

}  // namespace dcn::output
