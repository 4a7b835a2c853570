#include "launch/sweep/run_log.h"

#include <charconv>
#include <fstream>
#include <utility>

namespace dcn::sweep {
namespace {

constexpr std::size_t kMaxAttemptBytes = std::size_t{128} << 10;
constexpr std::size_t kKeptBytes = std::size_t{32} << 10;  // of each end of a longer one
constexpr std::size_t kReadBytes = std::size_t{1} << 20;   // at a time; a longer line is cut

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

/// Adds a line to an attempt's. Its first lines say where it resumed, its last ones how far it
/// came.
void AddLine(std::string_view line, std::string& attempt) {
  attempt.append(line);
  if (attempt.size() <= kMaxAttemptBytes) return;
  const std::size_t begin = attempt.rfind('\n', kKeptBytes) + 1;  // npos + 1: 0
  const std::size_t end = attempt.find('\n', attempt.size() - kKeptBytes);
  if (end != std::string::npos && end > begin) attempt.erase(begin, end + 1 - begin);
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
  std::string text;
  do {
    text.resize(kReadBytes);
    file.seekg(static_cast<std::streamoff>(read_bytes_));
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    read_bytes_ += TakeLines(text, losses);
  } while (text.size() == kReadBytes);
  return losses;
}

std::size_t RunLog::TakeLines(std::string_view text, std::vector<Loss>& losses) {
  std::string_view rest = text;
  for (std::size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    const std::string_view line = rest.substr(0, end);
    if (const auto restart = ParseScriptRestart(line)) {
      losses.push_back({.restart = *restart,
                        .steps = ParseAttemptSteps(attempt_),
                        .is_stalled = attempt_.find(kStalled) != std::string::npos});
      attempt_.clear();
    } else {
      AddLine(rest.substr(0, end + 1), attempt_);
    }
    rest.remove_prefix(end + 1);
  }
  const bool is_one_long_line = rest.size() == kReadBytes;
  return is_one_long_line ? text.size() : text.size() - rest.size();
}

}  // namespace dcn::sweep
