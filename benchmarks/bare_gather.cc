#include "benchmarks/bare_gather.h"

#include <cstring>

#include <benchmark/benchmark.h>

#include "benchmarks/table_workload.h"
#include "common/digest.h"

namespace dcn::benchmarks {
namespace {

constexpr std::size_t kDimension = TableWorkload::kDimension;

}  // namespace

BareGather::BareGather(std::size_t rows) : table_(rows * kDimension) {
  index_.Reserve(rows);
  for (ps::Key key = 0; key < rows; ++key) {
    const auto row = TableWorkload::FirstValues(key);
    std::memcpy(&table_[index_.Insert(key, 0).slot * kDimension], row.data(), sizeof(row));
  }
}

void BareGather::Gather(std::span<const ps::Key> keys) {
  gathered_.resize(keys.size() * kDimension);
  float* to = gathered_.data();
  for (const ps::Key key : keys) {
    std::memcpy(to, &table_[index_.Find(key)->slot * kDimension], kDimension * sizeof(float));
    to += kDimension;
  }
  benchmark::DoNotOptimize(Checksum64(std::as_bytes(std::span(gathered_))));
}

}  // namespace dcn::benchmarks
