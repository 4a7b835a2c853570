#include "launch/sweep/run_history.h"

namespace dcn::sweep {
namespace {

using nlohmann::json;

LastNews NewsOf(const json& event, const json& entry) {
  if (event == "started") return LastNews::kUnderWay;
  // Workers that their script starts again have no "started" of their own.
  if (event == "restarted" && entry.contains("by_script")) return LastNews::kUnderWay;
  return event == "finished" ? LastNews::kEnded : LastNews::kLeft;
}

/// An attempt that took no step says nothing of it.
void TakeLastStep(const json& entry, RunNews& run) {
  const auto last = entry.find("last_step");
  if (last == entry.end()) return;
  run.is_exact = last->is_number_unsigned();
  if (run.is_exact) run.last_step = last->get<std::uint64_t>();
  const auto least = entry.find("last_step_at_least");
  if (least != entry.end() && least->is_number_unsigned()) {
    run.last_step = least->get<std::uint64_t>();
  }
}

}  // namespace

std::map<RunName, RunNews> ReadRunHistory(const std::vector<json>& entries) {
  std::map<RunName, RunNews> history;
  for (const json& entry : entries) {
    const auto event = entry.find("event");
    const auto variant = entry.find("variant");
    const auto seed = entry.find("seed");
    if (event == entry.end() || variant == entry.end() || seed == entry.end()) continue;
    if (!variant->is_string() || !seed->is_number_unsigned()) continue;
    if (*event == "not started") continue;  // it is as it was
    RunNews& run = history[{variant->get<std::string>(), seed->get<std::uint64_t>()}];
    run.news = NewsOf(*event, entry);
    TakeLastStep(entry, run);
    if (run.news == LastNews::kEnded) run = {};  // what starts later begins anew
  }
  return history;
}

}  // namespace dcn::sweep
