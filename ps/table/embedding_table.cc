#include "ps/table/embedding_table.h"

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>
#include <utility>

#include "common/aligned_floats.h"
#include "common/check.h"
#include "ps/table/optimizer/adagrad.h"
#include "ps/table/optimizer/adam.h"
#include "ps/table/optimizer/lazy_adam.h"
#include "ps/table/optimizer/sgd.h"
#include "ps/table/table_definition.h"

namespace dcn::ps {
namespace {

// To be read: records that will be written are asked for so, too, which is no slower here, and rows
// that are only read stay shared.
void PrefetchFloats(const float* floats, std::size_t count) {
  const auto* bytes = reinterpret_cast<const char*>(floats);
  for (std::size_t i = 0; i < count * sizeof(float); i += kCacheLineBytes) {
    __builtin_prefetch(bytes + i);
  }
}

// A row's record, taken apart: weights, then the states in order.
struct Record {
  Record(float* floats, std::size_t size) : floats_(floats), size_(size) {}
  [[nodiscard]] std::span<float> weights() const { return {floats_, size_}; }
  [[nodiscard]] std::span<float> state(std::size_t i) const {
    return {floats_ + (1 + i) * size_, size_};
  }

 private:
  float* floats_;
  std::size_t size_;
};

// One gradient step of one row, by rule. `rate` is what StepRate gives.
void UpdateRow(const AdamOptions& options, float rate, const Record& row,
               std::span<const float> gradient) {
  AdamUpdate({.beta_1 = options.beta_1,
              .beta_2 = options.beta_2,
              .epsilon = options.epsilon,
              .step_size = rate},
             row.weights(), row.state(0), row.state(1), gradient);
}
void UpdateRow(const LazyAdamOptions& options, float rate, const Record& row,
               std::span<const float> gradient) {
  LazyAdamUpdate(options, rate, row.weights(), row.state(0), row.state(1), gradient);
}
void UpdateRow(const AdagradOptions& options, float rate, const Record& row,
               std::span<const float> gradient) {
  AdagradUpdate(options, rate, row.weights(), row.state(0), gradient);
}
void UpdateRow(const SgdOptions&, float rate, const Record& row, std::span<const float> gradient) {
  SgdUpdate(rate, row.weights(), gradient);
}

}  // namespace

EmbeddingTable::EmbeddingTable(TableDefinition definition)
    : definition_(std::move(definition)),
      dimension_(definition_.dimension),
      states_(StateCount(definition_.optimizer)),
      initializer_(definition_.initializer, definition_.name),
      storage_(record_size()) {
  if (const auto* adam = std::get_if<AdamOptions>(&definition_.optimizer)) history_.emplace(*adam);
}

std::size_t EmbeddingTable::memory_bytes() const {
  const std::size_t history = history_ ? history_->memory_bytes() : 0;
  return sizeof(*this) + index_.memory_bytes() + storage_.memory_bytes() + history;
}

void EmbeddingTable::ApplyStep(float learning_rate, std::span<const Key> keys,
                               std::span<const float> gradients) {
  DCN_CHECK_EQ(gradients.size(), keys.size() * dimension_);
  DCN_CHECK_LT(step_, Step{std::numeric_limits<std::uint32_t>::max()});
  if (history_) history_->Append(learning_rate);
  float rate = learning_rate;
  if (history_) rate = history_->step_size(step_ + 1);
  if (const auto* lazy = std::get_if<LazyAdamOptions>(&definition_.optimizer)) {
    rate = AdamStepSize(learning_rate, lazy->beta_1, lazy->beta_2, step_ + 1);
  }
  std::visit([&](const auto& options) { ApplyRows(options, rate, keys, gradients); },
             definition_.optimizer);
  ++step_;
}

template <typename Options>
void EmbeddingTable::ApplyRows(const Options& options, float rate, std::span<const Key> keys,
                               std::span<const float> gradients) {
  std::array<RowIndex::Entry*, kLookupBlock> entries;
  std::array<RowIndex::Entry*, kLookupBlock> next{};
  PrefetchIndex(keys, 0);
  PrefetchIndex(keys, kLookupBlock);
  LocateOrCreate(BlockOf(keys, 0), next);
  for (std::size_t first = 0; first < keys.size(); first += kLookupBlock) {
    const std::size_t count = std::min(kLookupBlock, keys.size() - first);
    entries = next;
    PrefetchIndex(keys, first + 2 * kLookupBlock);
    if (LocateOrCreate(BlockOf(keys, first + count), next)) {
      for (std::size_t i = 0; i < count; ++i) entries[i] = index_.Find(keys[first + i]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      RowIndex::Entry& entry = *entries[i];
      Preserve(entry);
      Replay(entry, step_);
      UpdateRow(options, rate, Record(storage_.Record(entry.slot), dimension_),
                gradients.subspan((first + i) * dimension_, dimension_));
      entry.last_step = static_cast<std::uint32_t>(step_ + 1);
    }
  }
}

void EmbeddingTable::Read(std::span<const Key> keys, std::span<float> values) {
  DCN_CHECK_EQ(values.size(), keys.size() * dimension_);
  std::array<RowIndex::Entry*, kLookupBlock> entries;
  std::array<RowIndex::Entry*, kLookupBlock> next{};
  PrefetchIndex(keys, 0);
  PrefetchIndex(keys, kLookupBlock);
  Locate(BlockOf(keys, 0), next);
  for (std::size_t first = 0; first < keys.size(); first += kLookupBlock) {
    const std::size_t count = std::min(kLookupBlock, keys.size() - first);
    entries = next;
    PrefetchIndex(keys, first + 2 * kLookupBlock);
    Locate(BlockOf(keys, first + count), next);
    for (std::size_t i = 0; i < count; ++i) {
      const std::span<float> out = values.subspan((first + i) * dimension_, dimension_);
      if (entries[i] == nullptr) {
        initializer_.Fill(keys[first + i], out);
        continue;
      }
      Replay(*entries[i], step_);
      std::copy_n(storage_.Record(entries[i]->slot), dimension_, out.data());
    }
  }
}

void EmbeddingTable::Assign(std::span<const Key> keys, std::span<const float> values) {
  DCN_CHECK_EQ(values.size(), keys.size() * dimension_);
  std::array<RowIndex::Entry*, kLookupBlock> entries;
  std::array<RowIndex::Entry*, kLookupBlock> next{};
  PrefetchIndex(keys, 0);
  PrefetchIndex(keys, kLookupBlock);
  LocateOrCreate(BlockOf(keys, 0), next);
  for (std::size_t first = 0; first < keys.size(); first += kLookupBlock) {
    const std::size_t count = std::min(kLookupBlock, keys.size() - first);
    entries = next;
    PrefetchIndex(keys, first + 2 * kLookupBlock);
    if (LocateOrCreate(BlockOf(keys, first + count), next)) {
      for (std::size_t i = 0; i < count; ++i) entries[i] = index_.Find(keys[first + i]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      Preserve(*entries[i]);
      float* record = storage_.Record(entries[i]->slot);
      std::copy_n(values.data() + (first + i) * dimension_, dimension_, record);
      ResetState(record);
      entries[i]->last_step = static_cast<std::uint32_t>(step_);
    }
  }
}

void EmbeddingTable::BeginSnapshot(TableId table) {
  DCN_CHECK(snapshot_ == nullptr);
  snapshot_ = std::make_unique<TableSnapshot>(table, row_count(), record_size());
}

void EmbeddingTable::CopyRows(std::size_t rows) {
  TableSnapshot::Sweep& sweep = snapshot_->sweep();
  if (sweep.capacity != index_.capacity()) sweep = {.capacity = index_.capacity(), .place = 0};
  for (; sweep.place < sweep.capacity && rows > 0; ++sweep.place) {
    const RowIndex::Entry* const entry = index_.At(sweep.place);
    if (entry == nullptr || !snapshot_->Lacks(entry->slot)) continue;
    snapshot_->Copy(*entry, storage_.Record(entry->slot));
    --rows;
  }
}

void EmbeddingTable::RestoreStep(Step step, std::span<const float> step_sizes) {
  DCN_CHECK_EQ(row_count(), std::size_t{0});
  if (history_) {
    DCN_CHECK_EQ(step_sizes.size(), step);
    history_->Restore(step_sizes);
  }
  step_ = step;
}

void EmbeddingTable::RestoreRows(std::span<const Key> keys,
                                 std::span<const std::uint32_t> last_steps,
                                 std::span<const float> records) {
  DCN_CHECK_EQ(last_steps.size(), keys.size());
  DCN_CHECK_EQ(records.size(), keys.size() * record_size());
  index_.Reserve(index_.size() + keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    DCN_CHECK_LE(last_steps[i], step_);
    std::copy_n(records.data() + i * record_size(), record_size(), storage_.Append());
    index_.Insert(keys[i], last_steps[i]);
  }
}

std::optional<StoredRow> EmbeddingTable::Find(Key key) const {
  const RowIndex::Entry* entry = index_.Find(key);
  if (entry == nullptr) return std::nullopt;
  return View(*entry);
}

StoredRow EmbeddingTable::View(const RowIndex::Entry& entry) const {
  const float* record = storage_.Record(entry.slot);
  return {.key = entry.key,
          .last_step = entry.last_step,
          .weights = {record, dimension_},
          .state = {record + dimension_, states_ * dimension_}};
}

std::span<const Key> EmbeddingTable::BlockOf(std::span<const Key> keys, std::size_t first) {
  const std::size_t begin = std::min(first, keys.size());
  return keys.subspan(begin, std::min(kLookupBlock, keys.size() - begin));
}

void EmbeddingTable::PrefetchIndex(std::span<const Key> keys, std::size_t first) const {
  const std::size_t end = std::min(keys.size(), first + kLookupBlock);
  for (std::size_t i = first; i < end; ++i) index_.Prefetch(keys[i]);
}

void EmbeddingTable::Locate(std::span<const Key> keys, std::span<RowIndex::Entry*> entries) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    entries[i] = index_.Find(keys[i]);
    if (entries[i] == nullptr) continue;
    // A row that is up to date is only read: its state may stay where it is.
    const bool is_current = entries[i]->last_step == step_ || !history_;
    PrefetchFloats(storage_.Record(entries[i]->slot), is_current ? dimension_ : record_size());
  }
}

bool EmbeddingTable::LocateOrCreate(std::span<const Key> keys,
                                    std::span<RowIndex::Entry*> entries) {
  const auto missing = [&] {
    std::size_t count = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      entries[i] = index_.Find(keys[i]);
      if (entries[i] == nullptr) {
        ++count;
      } else {
        PrefetchFloats(storage_.Record(entries[i]->slot), record_size());
      }
    }
    return count;
  }();
  if (missing == 0) return false;
  const std::size_t capacity = index_.capacity();
  index_.Reserve(index_.size() + missing);  // moves entries, so all are looked up again
  for (std::size_t i = 0; i < keys.size(); ++i) {
    entries[i] = index_.Find(keys[i]);
    if (entries[i] != nullptr) continue;
    float* record = storage_.Append();
    initializer_.Fill(keys[i], {record, dimension_});
    ResetState(record);
    entries[i] = &index_.Insert(keys[i], static_cast<std::uint32_t>(step_));
  }
  return index_.capacity() != capacity;
}

void EmbeddingTable::ResetState(float* record) const {
  const auto* adagrad = std::get_if<AdagradOptions>(&definition_.optimizer);
  std::fill_n(record + dimension_, states_ * dimension_,
              adagrad != nullptr ? adagrad->initial_accumulator : 0.0F);
}

void EmbeddingTable::Replay(RowIndex::Entry& entry, Step to) {
  if (!history_ || entry.last_step >= to) return;
  Preserve(entry);
  const Record row(storage_.Record(entry.slot), dimension_);
  AdamReplay(std::get<AdamOptions>(definition_.optimizer), history_->Between(entry.last_step, to),
             row.weights(), row.state(0), row.state(1));
  entry.last_step = static_cast<std::uint32_t>(to);
}

}  // namespace dcn::ps
