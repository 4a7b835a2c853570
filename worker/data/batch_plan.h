// Which table rows a batch needs, and where each of them occurs in it: made once for a batch, since
// batches are frozen, and used at every epoch.
//
// The batch's distinct rows ("entries") stand in the order (shard, table, key). Values pulled from
// the shards lie in one buffer in that order, and so do the summed gradients that are pushed.
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

/// The entries of one table on one shard: consecutive in the plan.
struct Segment {
  std::uint32_t shard = 0;
  ps::TableId table = 0;
  std::size_t first_entry = 0;
  std::size_t entry_count = 0;
  std::size_t value_offset = 0;  // floats into the buffer of values
};

/// A run of entries of one segment, with about the same number of occurrences each: a unit of work.
struct EntryRange {
  std::uint32_t segment = 0;
  std::size_t begin = 0;  // entries
  std::size_t end = 0;
};

class BatchPlanner;

/// Immutable once built. Thread safety: immutable.
class BatchPlan {
 public:
  /// Ratings in the batch.
  [[nodiscard]] std::size_t rows() const { return labels_.size(); }
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

  /// The batch rows in which an entry occurs, increasing (each feature names a row once).
  [[nodiscard]] std::span<const std::uint32_t> occurrences(std::size_t entry) const {
    return std::span(occurrences_)
        .subspan(occurrence_begin_[entry], occurrence_begin_[entry + 1] - occurrence_begin_[entry]);
  }

  /// All entries, cut into units of work.
  [[nodiscard]] std::span<const EntryRange> work() const { return work_; }

 private:
  friend class BatchPlanner;
  std::size_t feature_count_ = 0;
  std::size_t value_count_ = 0;
  std::vector<float> labels_;
  std::vector<Segment> segments_;
  std::vector<std::size_t> shard_begin_;  // into segments_, by shard, and one past the last
  std::vector<ps::Key> keys_;
  std::vector<std::uint32_t> value_offsets_;
  std::vector<std::uint32_t> occurrences_;
  std::vector<std::uint32_t> occurrence_begin_;
  std::vector<EntryRange> work_;
};

/// Builds plans. Thread safety: one planner a thread (it keeps scratch of the tables' sizes).
class BatchPlanner {
 public:
  explicit BatchPlanner(TableLayout layout);

  /// ids: [labels.size(), feature_count], table rows. REQUIRES: every id is below its table's rows;
  /// fewer than 2^32 floats of values.
  BatchPlan Build(std::span<const std::uint32_t> ids, std::span<const float> labels);

  /// The same for some rows of a dataset.
  BatchPlan Build(const Dataset& dataset, std::span<const std::uint32_t> rows);

 private:
  struct Entry {
    std::uint32_t id;
    std::uint32_t count;
  };
  void CollectEntries(std::span<const std::uint32_t> ids, std::size_t feature);
  void AppendSegments(BatchPlan& plan);
  void FillOccurrences(std::span<const std::uint32_t> ids, BatchPlan& plan);
  void CutWork(BatchPlan& plan) const;

  const TableLayout layout_;
  std::vector<std::vector<std::uint32_t>> slot_of_id_;  // by table and id; kNoSlot between builds
  std::vector<std::vector<Entry>> entries_;             // by table
  std::vector<std::uint32_t> next_occurrence_;          // by entry
};

}  // namespace dcn::data
