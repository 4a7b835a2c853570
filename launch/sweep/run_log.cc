#include "launch/sweep/run_log.h"

#include <charconv>
#include <fstream>
#include <iterator>
#include <utility>

namespace dcn::sweep {
namespace {

constexpr std::string_view kEnded = "workers ended with exit code ";
constexpr std::string_view kAgain = "; starting them again in ";
constexpr std::string_view kUnit = " s (";
constexpr std::string_view kStalled = "the workers took no step for ";

template <typename Number>
bool TakeNumber(std::string_view& text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool TakeWords(std::string_view& text, std::string_view words) {
  if (!text.starts_with(words)) return false;
  text.remove_prefix(words.size());
  return true;
}

}  // namespace

std::optional<ScriptRestart> ParseScriptRestart(std::string_view line) {
  ScriptRestart restart;
  double seconds = 0;
  if (!TakeWords(line, kEnded) || !TakeNumber(line, restart.exit_code) ||
      !TakeWords(line, kAgain) || !TakeNumber(line, seconds) || !TakeWords(line, kUnit)) {
    return std::nullopt;
  }
  restart.wait =
      std::chrono::round<std::chrono::milliseconds>(std::chrono::duration<double>(seconds));
  return restart;
}

RunLog::RunLog(std::filesystem::path log, std::uint64_t begins_at)
    : log_(std::move(log)), read_bytes_(begins_at) {}

std::vector<RunLog::Loss> RunLog::TakeLosses() {
  std::vector<Loss> losses;
  std::ifstream file(log_, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(read_bytes_));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::string_view rest = text;
  for (std::size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    const std::string_view line = rest.substr(0, end);
    if (const auto restart = ParseScriptRestart(line)) {
      losses.push_back({.restart = *restart,
                        .steps = ParseAttemptSteps(attempt_),
                        .is_stalled = attempt_.find(kStalled) != std::string::npos});
      attempt_.clear();
    } else {
      attempt_.append(rest.substr(0, end + 1));
    }
    rest.remove_prefix(end + 1);
  }
  read_bytes_ += text.size() - rest.size();
  return losses;
}

}  // namespace dcn::sweep
