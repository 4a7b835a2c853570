#include "tests/fault/kill_plan.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <regex>
#include <set>

#include <fmt/format.h>

namespace dcn::testing {
namespace {

// The step of the checkpoint that the path names, or lies in; 0: none.
std::uint64_t StepIn(const std::string& path) {
  static const std::regex kFolder("/step-([0-9]+)-epoch-[0-9]+(/|$)");
  std::smatch match;
  return std::regex_search(path, match, kFolder) ? std::stoull(match[1]) : 0;
}

// What the file is for: "step-20/.shard.tmp".
std::string RoleOf(const std::string& path) {
  static const std::regex kNumbers(R"(\.\{pid\}\.[0-9]+|-[0-9]+-of-[0-9]+)");
  const std::uint64_t step = StepIn(path);
  const std::string name = std::regex_replace(path.substr(path.rfind('/') + 1), kNumbers, "");
  if (step == 0) return name;
  return name.starts_with("step-") ? fmt::format("step-{}", step)
                                   : fmt::format("step-{}/{}", step, name);
}

bool IsFull() { return std::getenv("DCN_FAULT_FULL") != nullptr; }

// What a thread does for checkpoints.
struct Work {
  std::uint64_t step = 0;  // of the checkpoint that it works on, 0: none
  bool makes = false;      // its folder, and commits it
};

class Order {
 public:
  Order(const std::vector<TracedCall>& calls, std::uint64_t before) : before_(before) {
    for (const TracedCall& call : calls) {
      if (!call.has_succeeded) continue;
      const std::uint64_t step = StepIn(call.call.path);
      const bool makes = call.call.name == "mkdir" && step > 0;
      if (makes) first_folder_ = std::min(first_folder_, call.begin);
      // Later calls of the thread may be about checkpoints that are removed.
      const bool creates = makes || call.arguments.find("O_CREAT") != std::string::npos;
      if (creates && step > 0) work_.try_emplace(call.thread, Work{.step = step, .makes = makes});
      if (call.call.name == "rename" && call.target.ends_with("/manifest.json")) {
        commits_[step] = call.begin;
      }
    }
  }

  // The step that loads after a kill on the way into this call.
  [[nodiscard]] std::optional<std::uint64_t> LoadsAt(const TracedCall& call) const {
    const auto found = work_.find(call.thread);
    if (found == work_.end()) {
      if (call.begin < first_folder_) return before_;
      return std::nullopt;
    }
    const Work& work = found->second;
    std::uint64_t loads = before_;
    for (const auto& [step, place] : commits_) {
      const bool is_over =
          step < work.step || (step == work.step && work.makes && call.begin > place);
      if (is_over) loads = step;
    }
    return loads;
  }

 private:
  const std::uint64_t before_;
  std::size_t first_folder_ = SIZE_MAX;           // where the first checkpoint's is made
  std::map<std::string, Work> work_;              // by thread
  std::map<std::uint64_t, std::size_t> commits_;  // by step
};

}  // namespace

std::vector<KillPlace> PlanKills(const std::vector<TracedCall>& calls, std::uint64_t before) {
  const Order order(calls, before);
  std::vector<KillPlace> places;
  for (const TracedCall& call : calls) {
    const std::optional<std::uint64_t> loads = order.LoadsAt(call);
    const auto same = std::ranges::find(places, call.call, &KillPlace::call);
    if (same == places.end()) {
      places.push_back({.call = call.call, .kind = {}, .loads = loads});
    } else if (!loads || !same->loads) {
      same->loads.reset();
    } else {
      // Several threads make it; the first one is killed.
      same->loads = std::min(*loads, *same->loads);
    }
  }
  for (KillPlace& place : places) {
    place.kind = fmt::format("{} of {}, {}", place.call.name, RoleOf(place.call.path),
                             place.loads ? std::to_string(*place.loads) : "undetermined");
  }
  return places;
}

std::vector<KillPlace> SampleOfKinds(const std::vector<KillPlace>& places) {
  if (IsFull()) return places;
  std::vector<KillPlace> sample;
  std::set<std::string> kinds;
  for (const KillPlace& place : places) {
    if (kinds.insert(place.kind).second) sample.push_back(place);
  }
  return sample;
}

std::vector<KillPlace> SampleAroundCommits(const std::vector<KillPlace>& places, std::size_t more) {
  if (IsFull()) return places;
  std::set<std::size_t> chosen;
  for (std::size_t i = 1; i < places.size(); ++i) {
    if (places[i - 1].loads != places[i].loads) chosen.insert({i - 1, i});
  }
  for (std::size_t i = 0; i < more; ++i) chosen.insert(i * places.size() / more);
  std::vector<KillPlace> sample;
  for (const std::size_t i : chosen) sample.push_back(places[i]);
  return sample;
}

}  // namespace dcn::testing
