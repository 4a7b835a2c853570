#include "worker/train/frozen_batches.h"

#include <algorithm>

#include "common/check.h"

namespace dcn::train {

FrozenBatches::FrozenBatches(const data::Dataset& dataset, std::span<const std::uint32_t> rows,
                             std::size_t batch_size, const data::TableLayout& layout)
    : dataset_(dataset), rows_(rows), batch_size_(batch_size), planner_(layout) {
  DCN_CHECK_GE(batch_size, 1U);
  plans_.resize((rows.size() + batch_size - 1) / batch_size);
}

void FrozenBatches::Prepare(std::size_t index) {
  std::unique_ptr<data::BatchPlan>& plan = plans_[index];
  if (plan) return;
  const std::size_t begin = index * batch_size_;
  const std::size_t count = std::min(batch_size_, rows_.size() - begin);
  plan = std::make_unique<data::BatchPlan>(planner_.Build(dataset_, rows_.subspan(begin, count)));
}

const data::BatchPlan& FrozenBatches::Get(std::size_t index) {
  Prepare(index);
  return *plans_[index];
}

}  // namespace dcn::train
