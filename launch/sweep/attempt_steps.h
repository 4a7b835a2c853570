// The steps of a run's attempts: how far each came, and which steps the next one took again.
//
// An attempt's step file tells it exactly (step_files.h). Where there is none, its log still tells
// of some of its steps.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace dcn::sweep {

/// The steps of one attempt, as far as they are known.
struct AttemptSteps {
  /// The checkpoint's step that it went on from; 0: it began at the beginning.
  std::optional<std::uint64_t> resumed_from = std::nullopt;
  /// The last step that it has certainly taken, itself or by its checkpoint.
  std::optional<std::uint64_t> last = std::nullopt;
  /// Whether `last` is the last one that was whole, and without it no step was begun; else, as
  /// dcn_worker's log tells a step every few seconds only, it may have taken more.
  bool is_exact = false;
  /// When its first step was whole; nothing: not known, or there was none.
  std::optional<std::chrono::steady_clock::time_point> first_step_at = std::nullopt;
  friend bool operator==(const AttemptSteps&, const AttemptSteps&) = default;
};

/// Of the last attempt in a log's text, which begins below the last line "$ COMMAND", or below a
/// later one by which train.sh tells that it starts lost workers again (run_log.h). What counts:
/// "resumed from step N", "step N/TOTAL", and "step N" in a line that tells of a checkpoint. An
/// attempt that shows steps and no resumption began at the beginning.
[[nodiscard]] AttemptSteps ParseAttemptSteps(std::string_view log);

/// The same of a file; knows nothing where there is none.
[[nodiscard]] AttemptSteps ReadAttemptSteps(const std::filesystem::path& log);

/// Steps that an attempt takes again. The lost attempt's, not those of attempts before it: over all
/// attempts the sum is what the losses cost.
struct RepeatedSteps {
  std::uint64_t count = 0;
  bool is_exact = false;  // else there may be more
  friend bool operator==(const RepeatedSteps&, const RepeatedSteps&) = default;
};

/// How far a run had come when it was lost, over its attempts. Thread safety: none.
class StepAccount {
 public:
  /// For a run that had come to that step before; exact as RepeatedSteps.
  void Remember(std::uint64_t reached, bool is_exact);

  /// Takes an attempt, in their order. Returns how many steps it takes again that had been taken
  /// before it; nothing where it is not known to have begun any.
  std::optional<RepeatedSteps> Take(const AttemptSteps& attempt);

 private:
  std::uint64_t reached_ = 0;  // by the last attempt that took steps
  bool is_exact_ = true;
};

}  // namespace dcn::sweep
