#include "launch/sweep/sweep_chronicle.h"

#include <cmath>
#include <unistd.h>
#include <utility>

#include "common/check.h"
#include "common/file/mapped_file.h"

namespace dcn::sweep {

using nlohmann::json;

namespace {

double RoundedToMilliseconds(double seconds) { return std::round(seconds * 1000) / 1000; }

/// A number that is null where it is not known exactly; `value` is then the least that it can be.
void AddNumber(const std::string& name, std::uint64_t value, bool is_exact, json& entry) {
  if (is_exact) {
    entry[name] = value;
    return;
  }
  entry[name] = nullptr;
  if (value > 0) entry[name + "_at_least"] = value;
}

void AddLastStep(const AttemptSteps& attempt, json& entry) {
  if (attempt.is_exact && !attempt.last) return;  // no step was begun
  AddNumber("last_step", attempt.last.value_or(0), attempt.is_exact, entry);
}

/// The optional field of a result that says where the run's last attempt went on.
std::optional<std::uint64_t> ReadResumedFromStep(const PlannedRun& run) {
  const Result<MappedFile> file = MappedFile::Open(run.result_file());
  if (!file.ok()) return std::nullopt;
  const json result = json::parse(file->text(), nullptr, /*allow_exceptions=*/false);
  if (!result.is_object()) return std::nullopt;
  const auto field = result.find("resumed_from_step");
  if (field == result.end() || !field->is_number_unsigned()) return std::nullopt;
  return field->get<std::uint64_t>();
}

}  // namespace

SweepChronicle::SweepChronicle(const std::vector<PlannedRun>& runs, Journal& journal)
    : runs_(runs),
      journal_(journal),
      history_(ReadRunHistory(journal.earlier_entries())),
      states_(runs.size()) {}

json SweepChronicle::Entry(const char* event, std::size_t run) const {
  return {{"event", event}, {"variant", runs_[run].variant}, {"seed", runs_[run].seed}};
}

void SweepChronicle::AddAttempt(std::size_t run, const AttemptSteps& attempt, json& entry) {
  State& state = states_[run];
  const std::optional<RepeatedSteps> repeated = state.steps.Take(attempt);
  const std::optional<Clock::time_point> lost_at = std::exchange(state.lost_at, std::nullopt);
  if (!std::exchange(state.is_continued, true)) return;
  if (attempt.resumed_from) entry["resumed_from_step"] = *attempt.resumed_from;
  if (repeated) AddNumber("steps_repeated", repeated->count, repeated->is_exact, entry);
  if (attempt.first_step_at && lost_at && *attempt.first_step_at >= *lost_at) {
    entry["restart_seconds"] = RoundedToMilliseconds(
        std::chrono::duration<double>(*attempt.first_step_at - *lost_at).count());
  }
}

Status SweepChronicle::TakeStart(json entry) {
  entry["event"] = "sweep started";
  entry["process"] = ::getpid();
  return journal_.Append(std::move(entry));
}

Status SweepChronicle::TakeEnd(json entry) {
  entry["event"] = "sweep ended";
  return journal_.Append(std::move(entry));
}

Status SweepChronicle::TakeUnfinished(std::size_t run, std::span<const AttemptSteps> left) {
  const PlannedRun& planned = runs_[run];
  const auto found = history_.find({planned.variant, planned.seed});
  if (found == history_.end() || found->second.news == LastNews::kEnded) return Status();
  const RunNews& news = found->second;
  State& state = states_[run];
  if (std::exchange(state.is_taken_in, true)) return Status();
  state.steps.Remember(news.last_step, news.is_exact);
  if (news.news == LastNews::kLeft) {
    state.is_continued = true;
    return Status();
  }
  DCN_CHECK(!left.empty());
  for (const AttemptSteps& attempt : left.first(left.size() - 1)) state.steps.Take(attempt);
  json entry = Entry("lost", run);
  entry["reason"] = "dcn_sweep was lost while it ran";
  AddLastStep(left.back(), entry);
  AddAttempt(run, left.back(), entry);
  state.lost_at = start_;
  return journal_.Append(std::move(entry));
}

Status SweepChronicle::TakeNoStart(std::size_t run, const std::string& reason,
                                   std::chrono::milliseconds wait) {
  json entry = Entry("not started", run);
  entry["reason"] = reason;
  entry["wait_seconds"] = std::chrono::duration<double>(wait).count();
  return journal_.Append(std::move(entry));
}

Status SweepChronicle::TakeStarted(std::size_t run, pid_t process) {
  json entry = Entry("started", run);
  entry["process"] = process;
  return journal_.Append(std::move(entry));
}

Status SweepChronicle::TakeFinished(std::size_t run, const output::RunResult& result,
                                    double seconds, const AttemptSteps& steps) {
  json entry = Entry("finished", run);
  entry["test_rmse"] = result.test_rmse;
  entry["parameter_digest"] = result.parameter_digest;
  entry["seconds"] = seconds;
  AttemptSteps attempt = steps;
  if (const auto resumed_from = ReadResumedFromStep(runs_[run])) {
    attempt.resumed_from = resumed_from;
  }
  if (!attempt.resumed_from) attempt.resumed_from = 0;  // it finished, and says nothing else
  AddAttempt(run, attempt, entry);
  return journal_.Append(std::move(entry));
}

Status SweepChronicle::TakeRestarted(std::size_t run, const Restart& restart,
                                     const AttemptSteps& steps) {
  const Clock::time_point now = Clock::now();
  json entry = Entry("restarted", run);
  entry["reason"] = restart.reason;
  entry["restarts"] = restart.restarts;
  entry["seconds"] = RoundedToMilliseconds(restart.seconds);
  entry["wait_seconds"] = std::chrono::duration<double>(restart.wait).count();
  if (restart.is_by_script) entry["by_script"] = true;
  AddLastStep(steps, entry);
  AddAttempt(run, steps, entry);
  states_[run].lost_at = now;
  return journal_.Append(std::move(entry));
}

Status SweepChronicle::TakeFailed(std::size_t run, const std::string& reason, int exit_code,
                                  const std::string& log_tail, const AttemptSteps& steps) {
  json entry = Entry("failed", run);
  entry["reason"] = reason;
  entry["exit_code"] = exit_code;
  entry["log_tail"] = log_tail;
  AddLastStep(steps, entry);
  AddAttempt(run, steps, entry);
  return journal_.Append(std::move(entry));
}

Status SweepChronicle::TakeStopped(std::size_t run, const std::string& reason,
                                   const AttemptSteps& steps) {
  json entry = Entry("stopped", run);
  entry["reason"] = reason;
  AddLastStep(steps, entry);
  AddAttempt(run, steps, entry);
  return journal_.Append(std::move(entry));
}

}  // namespace dcn::sweep
