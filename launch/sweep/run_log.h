// Follows the log of a run that launch/train.sh leads: the script starts lost workers again by
// itself, while their servers go on, and says so there.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "launch/sweep/attempt_steps.h"

namespace dcn::sweep {

/// What the script says where workers were lost and start again.
struct ScriptRestart {
  int exit_code = 0;                 // of the workers
  std::chrono::milliseconds wait{};  // until they start
  friend bool operator==(const ScriptRestart&, const ScriptRestart&) = default;
};

/// Of a whole line, such as "workers ended with exit code 4; starting them again in 0.5 s (1 of
/// 3)"; nothing where it is another one.
[[nodiscard]] std::optional<ScriptRestart> ParseScriptRestart(std::string_view line);

/// Thread safety: none.
class RunLog {
 public:
  struct Loss {
    ScriptRestart restart;
    AttemptSteps steps;       // of the attempt that was lost
    bool is_stalled = false;  // the script ended it, which took no steps any more
  };

  /// begins_at: bytes of the log that are of earlier starts.
  RunLog(std::filesystem::path log, std::uint64_t begins_at);

  /// The losses of which whole lines tell that were added since the last call. A log that cannot be
  /// read has none.
  std::vector<Loss> TakeLosses();

 private:
  /// Takes the whole lines of `text`, which follows what was read before. Returns its bytes that
  /// are read with that.
  std::size_t TakeLines(std::string_view text, std::vector<Loss>& losses);

  const std::filesystem::path log_;
  std::uint64_t read_bytes_;
  std::string attempt_;  // lines of the one under way; of many, the first and the last
};

}  // namespace dcn::sweep
