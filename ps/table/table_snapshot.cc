#include "ps/table/table_snapshot.h"

#include <algorithm>

#include "common/check.h"

namespace dcn::ps {
namespace {

constexpr std::size_t kBlockFloats = std::size_t{1} << 18;  // 1 MiB of records a block

}  // namespace

void TableSnapshot::Copy(const RowIndex::Entry& entry, const float* record) {
  DCN_CHECK(Lacks(entry.slot));
  const std::size_t block_rows = std::max<std::size_t>(1, kBlockFloats / record_size_);
  if (open_.keys.empty()) {
    const std::size_t rows = std::min(block_rows, missing_);
    open_.table = table_;
    open_.keys.reserve(rows);
    open_.last_steps.reserve(rows);
    open_.records.reserve(rows * record_size_);
  }
  open_.keys.push_back(entry.key);
  open_.last_steps.push_back(entry.last_step);
  open_.records.insert(open_.records.end(), record, record + record_size_);
  is_copied_[entry.slot] = true;
  --missing_;
  if (open_.keys.size() < block_rows) return;
  full_.push_back(std::move(open_));
  open_ = RowCopies();
}

std::vector<RowCopies> TableSnapshot::TakeCopies() {
  if (is_complete() && !open_.keys.empty()) {
    full_.push_back(std::move(open_));
    open_ = RowCopies();
  }
  return std::exchange(full_, {});
}

}  // namespace dcn::ps
