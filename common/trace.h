// What was done when, by which thread: the raw material of --trace.
//
// A lane is a row of the picture: one thread, or the requests to one shard. Each lane is written by
// one thread at a time; without a Trace, spans cost one comparison.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/check.h"

namespace dcn {

/// Something that lasted. name: a literal.
struct TraceEvent {
  using TimePoint = std::chrono::steady_clock::time_point;

  const char* name = "";
  std::uint64_t step = 0;
  TimePoint begin{};
  TimePoint end{};
};

/// Thread safety: calls for different lanes may come at the same time.
class Trace {
 public:
  /// lanes: their names. capacity: events of one lane; what comes later is counted, not kept.
  Trace(std::vector<std::string> lanes, std::size_t capacity) : capacity_(capacity) {
    for (std::string& name : lanes) lanes_.push_back({.name = std::move(name), .events = {}});
  }

  void Add(std::size_t lane, const TraceEvent& event) {
    DCN_CHECK_LT(lane, lanes_.size());
    Lane& to = lanes_[lane];
    if (to.events.size() < capacity_) {
      to.events.push_back(event);
    } else {
      ++to.left_out;
    }
  }

  [[nodiscard]] std::size_t lane_count() const { return lanes_.size(); }
  [[nodiscard]] const std::string& lane_name(std::size_t lane) const { return lanes_[lane].name; }
  [[nodiscard]] std::span<const TraceEvent> events(std::size_t lane) const {
    return lanes_[lane].events;
  }
  /// Events that were not kept, over all lanes.
  [[nodiscard]] std::size_t left_out() const {
    std::size_t sum = 0;
    for (const Lane& lane : lanes_) sum += lane.left_out;
    return sum;
  }

 private:
  struct alignas(64) Lane {  // threads that write side by side do not share a cache line
    std::string name;
    std::vector<TraceEvent> events;
    std::size_t left_out = 0;
  };

  const std::size_t capacity_;
  std::vector<Lane> lanes_;
};

/// Adds an event that lasts from its construction to its destruction; nothing without a trace.
class TraceSpan {
 public:
  TraceSpan(Trace* trace, std::size_t lane, const char* name, std::uint64_t step)
      : trace_(trace), lane_(lane) {
    if (trace_ != nullptr) event_ = {.name = name, .step = step, .begin = Now(), .end = {}};
  }
  ~TraceSpan() {
    if (trace_ == nullptr) return;
    event_.end = Now();
    trace_->Add(lane_, event_);
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  static TraceEvent::TimePoint Now() { return std::chrono::steady_clock::now(); }

  Trace* const trace_;
  const std::size_t lane_;
  TraceEvent event_;
};

}  // namespace dcn
