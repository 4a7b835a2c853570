// Which table rows a batch needs, and where each of them occurs in it: made once for a batch, since
// batches are frozen, and used at every epoch.
//
// The batch's distinct rows ("entries") stand in the order (shard, table, key); values pulled from
// the shards lie in one buffer in that order. What is pushed are sums of gradients: one for each
// entry and tree node of this rank in which the entry occurs, in the order (shard, table, key,
// node). A rank alone has one node, and its pushes are its entries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ps/protocol.h"
#include "worker/data/dataset.h"

namespace dcn::data {

/// What a plan needs to know of the tables: table f holds feature f.
struct TableLayout {
  std::vector<std::uint32_t> dimensions;  // by table
  std::vector<std::size_t> rows;          // by table
  std::uint32_t shard_count = 1;

  /// Floats of one rating's concatenated embeddings.
  [[nodiscard]] std::size_t input_width() const;
  [[nodiscard]] std::size_t feature_count() const { return dimensions.size(); }
};

/// The entries and pushes of one table on one shard: consecutive in the plan.
struct Segment {
  std::uint32_t shard = 0;
  ps::TableId table = 0;
  std::size_t first_entry = 0;
  std::size_t entry_count = 0;
  std::size_t value_offset = 0;  // floats into the buffer of values
  std::size_t first_push = 0;
  std::size_t push_count = 0;
  std::size_t push_offset = 0;  // floats into the buffer of sums
};

/// A run of pushes of one segment, with about the same number of occurrences each: a unit of work.
struct PushRange {
  std::uint32_t segment = 0;
  std::size_t begin = 0;  // pushes
  std::size_t end = 0;
};

/// What part of a whole batch a plan is for; by default all of it, as one node.
struct PlanPart {
  std::size_t batch_rows = 0;                // of the whole batch; 0: the plan's own
  std::span<const std::uint32_t> node_ends;  // plan rows where each node of this rank ends
};

class BatchPlanner;

/// Immutable once built. Thread safety: immutable.
class BatchPlan {
 public:
  /// Ratings in this plan.
  [[nodiscard]] std::size_t rows() const { return labels_.size(); }
  /// Ratings in the whole batch, of which this plan may be one rank's part.
  [[nodiscard]] std::size_t batch_rows() const { return batch_rows_; }
  [[nodiscard]] std::span<const float> labels() const { return labels_; }

  [[nodiscard]] std::span<const Segment> segments() const { return segments_; }
  /// Segments of one shard; their entries are consecutive, too.
  [[nodiscard]] std::span<const Segment> shard_segments(std::uint32_t shard) const;

  /// Key of each entry.
  [[nodiscard]] std::span<const ps::Key> keys() const { return keys_; }
  /// Floats of all entries' values.
  [[nodiscard]] std::size_t value_count() const { return value_count_; }

  /// For batch row r and feature f: where the embedding starts in the buffer of values.
  [[nodiscard]] std::span<const std::uint32_t> value_offsets(std::size_t row) const {
    return std::span(value_offsets_).subspan(row * feature_count_, feature_count_);
  }

  /// The plan rows in which an entry occurs, increasing (each feature names a row once).
  [[nodiscard]] std::span<const std::uint32_t> occurrences(std::size_t entry) const {
    return Between(occurrence_begin_, entry);
  }

  /// Key and node (by its number among this rank's nodes) of each push.
  [[nodiscard]] std::span<const ps::Key> push_keys() const {
    return has_own_pushes() ? push_keys_ : keys_;
  }
  [[nodiscard]] std::span<const std::uint16_t> push_nodes() const { return push_nodes_; }
  /// Floats of all pushes' sums.
  [[nodiscard]] std::size_t push_value_count() const { return push_value_count_; }
  /// The plan rows that a push sums over, increasing.
  [[nodiscard]] std::span<const std::uint32_t> push_occurrences(std::size_t push) const {
    return Between(has_own_pushes() ? push_begin_ : occurrence_begin_, push);
  }

  /// All pushes, cut into units of work.
  [[nodiscard]] std::span<const PushRange> work() const { return work_; }

 private:
  friend class BatchPlanner;

  [[nodiscard]] bool has_own_pushes() const { return !push_begin_.empty(); }
  [[nodiscard]] std::span<const std::uint32_t> Between(const std::vector<std::uint32_t>& begin,
                                                       std::size_t i) const {
    return std::span(occurrences_).subspan(begin[i], begin[i + 1] - begin[i]);
  }

  std::size_t feature_count_ = 0;
  std::size_t batch_rows_ = 0;
  std::size_t value_count_ = 0;
  std::size_t push_value_count_ = 0;
  std::vector<float> labels_;
  std::vector<Segment> segments_;
  std::vector<std::size_t> shard_begin_;  // into segments_, by shard, and one past the last
  std::vector<ps::Key> keys_;
  std::vector<std::uint32_t> value_offsets_;
  std::vector<std::uint32_t> occurrences_;
  std::vector<std::uint32_t> occurrence_begin_;
  // Of the pushes, where they are not the entries; push_nodes_ always.
  std::vector<ps::Key> push_keys_;
  std::vector<std::uint16_t> push_nodes_;
  std::vector<std::uint32_t> push_begin_;
  std::vector<PushRange> work_;
};

/// Builds plans. Thread safety: one planner a thread (it keeps scratch of the tables' sizes).
class BatchPlanner {
 public:
  explicit BatchPlanner(TableLayout layout);

  /// ids: [labels.size(), feature_count], table rows; may be empty. REQUIRES: every id is below its
  /// table's rows; fewer than 2^32 floats of values.
  BatchPlan Build(std::span<const std::uint32_t> ids, std::span<const float> labels,
                  const PlanPart& part = {});

  /// The same for some rows of a dataset.
  BatchPlan Build(const Dataset& dataset, std::span<const std::uint32_t> rows,
                  const PlanPart& part = {});

 private:
  struct Entry {
    std::uint32_t id;
    std::uint32_t count;
    std::uint32_t shard;
  };
  void CollectEntries(std::span<const std::uint32_t> ids, std::size_t feature);
  void OrderEntries(std::size_t feature);
  void AppendSegments(BatchPlan& plan);
  void FillOccurrences(std::span<const std::uint32_t> ids, BatchPlan& plan);
  void CutPushes(std::span<const std::uint32_t> node_ends, BatchPlan& plan) const;
  void CutWork(BatchPlan& plan) const;

  const TableLayout layout_;
  std::vector<std::vector<std::uint32_t>> slot_of_id_;  // by table and id; kNoSlot between builds
  std::vector<std::vector<Entry>> entries_;             // by table
  std::vector<Entry> ordered_;                          // one table's, while they are ordered
  std::vector<std::uint32_t> next_occurrence_;          // by entry
};

}  // namespace dcn::data
