#include "worker/data/batch_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "common/check.h"
#include "ps/partition.h"

namespace dcn::data {
namespace {

constexpr std::uint32_t kNoSlot = std::numeric_limits<std::uint32_t>::max();
// Occurrences in a unit of work: some microseconds of additions.
constexpr std::size_t kWorkOccurrences = 2048;
// A table's rows for each that occurs, up to which looking at all of them beats sorting.
constexpr std::size_t kMostRowsToScan = 16;

}  // namespace

std::size_t TableLayout::input_width() const {
  return std::accumulate(dimensions.begin(), dimensions.end(), std::size_t{0});
}

std::span<const Segment> BatchPlan::shard_segments(std::uint32_t shard) const {
  return std::span(segments_).subspan(shard_begin_[shard],
                                      shard_begin_[shard + 1] - shard_begin_[shard]);
}

BatchPlanner::BatchPlanner(TableLayout layout) : layout_(std::move(layout)) {
  DCN_CHECK_EQ(layout_.rows.size(), layout_.dimensions.size());
  for (const std::size_t rows : layout_.rows) slot_of_id_.emplace_back(rows, kNoSlot);
  entries_.resize(layout_.feature_count());
}

BatchPlan BatchPlanner::Build(const Dataset& dataset, std::span<const std::uint32_t> rows,
                              const PlanPart& part) {
  std::vector<std::uint32_t> ids;
  std::vector<float> labels;
  ids.reserve(rows.size() * dataset.feature_count());
  labels.reserve(rows.size());
  for (const std::uint32_t row : rows) {
    const auto of_row = dataset.ids(row);
    ids.insert(ids.end(), of_row.begin(), of_row.end());
    labels.push_back(dataset.labels()[row]);
  }
  return Build(ids, labels, part);
}

BatchPlan BatchPlanner::Build(std::span<const std::uint32_t> ids, std::span<const float> labels,
                              const PlanPart& part) {
  DCN_CHECK_EQ(ids.size(), labels.size() * layout_.feature_count());
  BatchPlan plan;
  plan.feature_count_ = layout_.feature_count();
  plan.batch_rows_ = part.batch_rows == 0 ? labels.size() : part.batch_rows;
  plan.labels_.assign(labels.begin(), labels.end());
  for (std::size_t f = 0; f < layout_.feature_count(); ++f) CollectEntries(ids, f);
  AppendSegments(plan);
  FillOccurrences(ids, plan);
  CutPushes(part.node_ends, plan);
  CutWork(plan);
  return plan;
}

// The distinct ids of one feature, with how often they occur, in increasing order.
void BatchPlanner::CollectEntries(std::span<const std::uint32_t> ids, std::size_t feature) {
  std::vector<std::uint32_t>& slot_of_id = slot_of_id_[feature];
  std::vector<Entry>& entries = entries_[feature];
  entries.clear();
  for (std::size_t i = feature; i < ids.size(); i += layout_.feature_count()) {
    const std::uint32_t id = ids[i];
    DCN_CHECK_LT(std::size_t{id}, slot_of_id.size());
    std::uint32_t& slot = slot_of_id[id];
    if (slot == kNoSlot) {
      slot = static_cast<std::uint32_t>(entries.size());
      const auto table = static_cast<ps::TableId>(feature);
      entries.push_back({id, 0, ps::ShardOf(table, id, layout_.shard_count)});
    }
    ++entries[slot].count;
  }
  OrderEntries(feature);
}

// By increasing id. A small table is gone through from end to end, which is faster than sorting.
void BatchPlanner::OrderEntries(std::size_t feature) {
  std::vector<Entry>& entries = entries_[feature];
  const std::vector<std::uint32_t>& slot_of_id = slot_of_id_[feature];
  if (slot_of_id.size() > kMostRowsToScan * entries.size()) {
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.id < b.id; });
    return;
  }
  ordered_.clear();
  for (const std::uint32_t slot : slot_of_id) {
    if (slot != kNoSlot) ordered_.push_back(entries[slot]);
  }
  entries.swap(ordered_);
}

// Gives every entry its place: by shard, table, key. Leaves the entry's number in slot_of_id_.
void BatchPlanner::AppendSegments(BatchPlan& plan) {
  std::size_t value_offset = 0;
  std::size_t entry_count = 0;
  for (const std::vector<Entry>& entries : entries_) entry_count += entries.size();
  plan.keys_.reserve(entry_count);
  plan.occurrence_begin_.reserve(entry_count + 1);
  plan.occurrence_begin_.push_back(0);
  for (std::uint32_t shard = 0; shard < layout_.shard_count; ++shard) {
    plan.shard_begin_.push_back(plan.segments_.size());
    for (std::size_t f = 0; f < layout_.feature_count(); ++f) {
      const auto table = static_cast<ps::TableId>(f);
      Segment segment{.shard = shard,
                      .table = table,
                      .first_entry = plan.keys_.size(),
                      .value_offset = value_offset};
      for (const Entry& entry : entries_[f]) {
        if (entry.shard != shard) continue;
        slot_of_id_[f][entry.id] = static_cast<std::uint32_t>(plan.keys_.size());
        plan.keys_.push_back(entry.id);
        plan.occurrence_begin_.push_back(plan.occurrence_begin_.back() + entry.count);
      }
      segment.entry_count = plan.keys_.size() - segment.first_entry;
      if (segment.entry_count == 0) continue;
      value_offset += segment.entry_count * layout_.dimensions[f];
      plan.segments_.push_back(segment);
    }
  }
  plan.shard_begin_.push_back(plan.segments_.size());
  plan.value_count_ = value_offset;
  DCN_CHECK_LT(value_offset, std::size_t{kNoSlot});
}

void BatchPlanner::FillOccurrences(std::span<const std::uint32_t> ids, BatchPlan& plan) {
  std::vector<std::uint32_t> entry_offset(plan.keys_.size());
  for (const Segment& segment : plan.segments_) {
    const std::uint32_t dimension = layout_.dimensions[segment.table];
    for (std::size_t i = 0; i < segment.entry_count; ++i) {
      entry_offset[segment.first_entry + i] =
          static_cast<std::uint32_t>(segment.value_offset + i * dimension);
    }
  }
  plan.value_offsets_.resize(ids.size());
  plan.occurrences_.resize(ids.size());
  next_occurrence_.assign(plan.occurrence_begin_.begin(), plan.occurrence_begin_.end() - 1);
  const auto rows = static_cast<std::uint32_t>(plan.labels_.size());
  std::size_t i = 0;
  for (std::uint32_t row = 0; row < rows; ++row) {
    for (std::size_t f = 0; f < layout_.feature_count(); ++f, ++i) {
      const std::uint32_t entry = slot_of_id_[f][ids[i]];
      plan.value_offsets_[i] = entry_offset[entry];
      plan.occurrences_[next_occurrence_[entry]++] = row;
    }
  }
  for (std::size_t f = 0; f < layout_.feature_count(); ++f) {
    for (const Entry& entry : entries_[f]) slot_of_id_[f][entry.id] = kNoSlot;
  }
}

// One push for each entry and node in which it occurs.
void BatchPlanner::CutPushes(std::span<const std::uint32_t> node_ends, BatchPlan& plan) const {
  if (node_ends.size() <= 1) {  // the entries are the pushes
    plan.push_nodes_.assign(plan.keys_.size(), 0);
    plan.push_value_count_ = plan.value_count_;
    for (Segment& segment : plan.segments_) {
      segment.first_push = segment.first_entry;
      segment.push_count = segment.entry_count;
      segment.push_offset = segment.value_offset;
    }
    return;
  }
  for (Segment& segment : plan.segments_) {
    segment.first_push = plan.push_keys_.size();
    segment.push_offset = plan.push_value_count_;
    for (std::size_t i = 0; i < segment.entry_count; ++i) {
      const std::size_t entry = segment.first_entry + i;
      std::size_t node = 0;
      for (std::uint32_t o = plan.occurrence_begin_[entry]; o < plan.occurrence_begin_[entry + 1];
           ++o) {
        const std::uint32_t row = plan.occurrences_[o];
        const bool is_first = o == plan.occurrence_begin_[entry];
        if (!is_first && row < node_ends[node]) continue;
        while (row >= node_ends[node]) ++node;
        plan.push_begin_.push_back(o);
        plan.push_keys_.push_back(plan.keys_[entry]);
        plan.push_nodes_.push_back(static_cast<std::uint16_t>(node));
      }
    }
    segment.push_count = plan.push_keys_.size() - segment.first_push;
    plan.push_value_count_ += segment.push_count * layout_.dimensions[segment.table];
  }
  plan.push_begin_.push_back(static_cast<std::uint32_t>(plan.occurrences_.size()));
}

void BatchPlanner::CutWork(BatchPlan& plan) const {
  const std::vector<std::uint32_t>& first =
      plan.has_own_pushes() ? plan.push_begin_ : plan.occurrence_begin_;
  for (std::uint32_t s = 0; s < plan.segments_.size(); ++s) {
    const Segment& segment = plan.segments_[s];
    const std::size_t end = segment.first_push + segment.push_count;
    std::size_t begin = segment.first_push;
    for (std::size_t push = begin; push < end; ++push) {
      const std::size_t occurrences = first[push + 1] - first[begin];
      if (occurrences < kWorkOccurrences && push + 1 < end) continue;
      plan.work_.push_back({s, begin, push + 1});
      begin = push + 1;
    }
  }
  // The longest first: they start while there is other work to do beside them.
  const auto occurrences = [&](const PushRange& range) {
    return first[range.end] - first[range.begin];
  };
  std::stable_sort(
      plan.work_.begin(), plan.work_.end(),
      [&](const PushRange& a, const PushRange& b) { return occurrences(a) > occurrences(b); });
}

}  // namespace dcn::data
