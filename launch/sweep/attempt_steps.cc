#include "launch/sweep/attempt_steps.h"

#include <algorithm>
#include <charconv>

#include "common/file/mapped_file.h"
#include "launch/sweep/run_log.h"

namespace dcn::sweep {
namespace {

constexpr std::string_view kStep = "step ";
constexpr std::string_view kResumed = "resumed from step ";
constexpr std::string_view kCheckpoint = "checkpoint";

struct Number {
  std::uint64_t value = 0;
  std::string_view rest;  // what follows it
};

std::optional<Number> ParseNumber(std::string_view text) {
  Number number;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number.value);
  if (error != std::errc()) return std::nullopt;
  number.rest = text.substr(static_cast<std::size_t>(end - text.data()));
  return number;
}

/// The lines below the last command, and below the last line by which train.sh tells that it starts
/// lost workers again.
std::string_view LastAttempt(std::string_view log) {
  if (const std::size_t command = log.rfind("\n$ "); command != std::string_view::npos) {
    log.remove_prefix(command + 1);
  }
  for (std::size_t end = log.rfind('\n'); end != std::string_view::npos && end > 0;) {
    const std::size_t before = log.rfind('\n', end - 1);
    const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
    if (ParseScriptRestart(log.substr(begin, end - begin))) return log.substr(end + 1);
    end = before;
  }
  return log;
}

void TakeLine(std::string_view line, AttemptSteps& steps) {
  if (line.starts_with("$ ")) return;
  if (const std::size_t at = line.find(kResumed); at != std::string_view::npos) {
    if (const auto number = ParseNumber(line.substr(at + kResumed.size()))) {
      steps.resumed_from = number->value;
    }
  }
  const bool tells_of_checkpoint = line.find(kCheckpoint) != std::string_view::npos;
  for (std::size_t at = line.find(kStep); at != std::string_view::npos;
       at = line.find(kStep, at + 1)) {
    const auto number = ParseNumber(line.substr(at + kStep.size()));
    if (!number || (!tells_of_checkpoint && !number->rest.starts_with('/'))) continue;
    steps.last = std::max(steps.last.value_or(0), number->value);
  }
}

}  // namespace

AttemptSteps ParseAttemptSteps(std::string_view log) {
  AttemptSteps steps;
  std::string_view rest = LastAttempt(log);
  while (!rest.empty()) {
    const std::size_t end = rest.find_first_of("\r\n");
    TakeLine(rest.substr(0, end), steps);
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  if (steps.last && !steps.resumed_from) steps.resumed_from = 0;
  return steps;
}

AttemptSteps ReadAttemptSteps(const std::filesystem::path& log) {
  const Result<MappedFile> mapped = MappedFile::Open(log);
  return mapped.ok() ? ParseAttemptSteps(mapped->text()) : AttemptSteps{};
}

void StepAccount::Remember(std::uint64_t reached, bool is_exact) {
  reached_ = reached;
  is_exact_ = is_exact;
}

std::optional<RepeatedSteps> StepAccount::Take(const AttemptSteps& attempt) {
  if (!attempt.resumed_from) {
    is_exact_ = is_exact_ && attempt.is_exact;  // else it may have come further than the one before
    return std::nullopt;
  }
  const std::uint64_t resumed_from = *attempt.resumed_from;
  const RepeatedSteps repeated{reached_ > resumed_from ? reached_ - resumed_from : 0, is_exact_};
  Remember(attempt.last.value_or(resumed_from), attempt.is_exact);
  return repeated;
}

}  // namespace dcn::sweep
