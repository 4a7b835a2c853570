#include "worker/export/trace_file.h"

#include <chrono>
#include <cstddef>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/file/atomic_write.h"

namespace dcn::output {
namespace {

using nlohmann::json;

double Microseconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

// A name for a process or a thread, in the format's way.
json Naming(const char* what, std::size_t rank, std::size_t lane, const std::string& name) {
  return {{"ph", "M"}, {"name", what}, {"pid", rank}, {"tid", lane}, {"args", {{"name", name}}}};
}

void AppendRank(const json& trace, std::size_t rank, json& events) {
  events.push_back(Naming("process_name", rank, 0, fmt::format("rank {}", rank)));
  std::size_t lane = 0;
  for (const json& entry : trace.at("lanes")) {
    events.push_back(Naming("thread_name", rank, lane, entry.at("name").get<std::string>()));
    events.push_back({{"ph", "M"},
                      {"name", "thread_sort_index"},
                      {"pid", rank},
                      {"tid", lane},
                      {"args", {{"sort_index", lane}}}});
    for (const json& event : entry.at("events")) {
      events.push_back({{"ph", "X"},
                        {"pid", rank},
                        {"tid", lane},
                        {"name", event.at(0)},
                        {"ts", event.at(2)},
                        {"dur", event.at(3)},
                        {"args", {{"step", event.at(1)}}}});
    }
    ++lane;
  }
}

}  // namespace

std::string TraceText(const Trace& trace, TraceEvent::TimePoint origin) {
  json lanes = json::array();
  for (std::size_t lane = 0; lane < trace.lane_count(); ++lane) {
    json events = json::array();
    for (const TraceEvent& event : trace.events(lane)) {
      events.push_back({event.name, event.step, Microseconds(event.begin - origin),
                        Microseconds(event.end - event.begin)});
    }
    lanes.push_back({{"name", trace.lane_name(lane)}, {"events", std::move(events)}});
  }
  return json{{"lanes", std::move(lanes)}, {"left_out", trace.left_out()}}.dump();
}

Status WriteChromeTrace(const std::filesystem::path& path, std::span<const std::string> ranks) {
  json events = json::array();
  std::size_t left_out = 0;
  try {
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
      const json trace = json::parse(ranks[rank]);
      AppendRank(trace, rank, events);
      left_out += trace.at("left_out").get<std::size_t>();
    }
  } catch (const json::exception& error) {
    return Error(StatusCode::kDataLoss, "the trace of a rank cannot be read: {}", error.what());
  }
  const json file = {{"traceEvents", std::move(events)},
                     {"displayTimeUnit", "ms"},
                     {"otherData", {{"events_left_out", left_out}}}};
  return WriteFileAtomically(path, file.dump() + "\n");
}

}  // namespace dcn::output
