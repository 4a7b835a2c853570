// From files to batches: reading, encoding, splitting, and planning a batch.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "benchmarks/benchmark_main.h"
#include "common/check.h"
#include "worker/data/batch_plan.h"
#include "worker/data/encoded_cache.h"
#include "worker/data/split.h"
#include "worker/data/synthetic_folder.h"

namespace dcn::benchmarks {
namespace {

constexpr double kTrainFraction = 0.75;
constexpr std::size_t kBatchRows = 8192;

// The data as files; the synthetic data is written to some first.
class Source {
 public:
  explicit Source(const std::string& data) : folder_(data) {
    const auto spec = data::FindSyntheticSource(data);
    if (!spec) return;
    folder_ = (scratch_.path() / "synthetic").string();
    ThrowIfError(data::WriteSyntheticFolder(folder_, *spec));
  }
  [[nodiscard]] const std::string& folder() const { return folder_; }
  /// A folder for the cache of encoded data.
  [[nodiscard]] std::filesystem::path cache() const { return scratch_.path() / "cache"; }

 private:
  ScratchFolder scratch_;
  std::string folder_;
};

void CheckSame(const data::Dataset& a, const data::Dataset& b) {
  DCN_CHECK(std::ranges::equal(a.ids(), b.ids()));
  DCN_CHECK(std::ranges::equal(a.labels(), b.labels()));
  DCN_CHECK(a.vocabularies() == b.vocabularies());
}

// Ids within their vocabularies, labels 1 .. 5, every rating once in the split.
void CheckSound(const data::Dataset& dataset, const data::Split& split) {
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    const auto ids = dataset.ids(row);
    for (std::size_t f = 0; f < ids.size(); ++f) {
      DCN_CHECK(ids[f] >= 1 && ids[f] < dataset.vocabularies()[f].table_rows());
    }
    DCN_CHECK(dataset.labels()[row] >= 1 && dataset.labels()[row] <= 5);
  }
  std::vector<bool> seen(dataset.rows());
  for (const auto* rows : {&split.train, &split.test}) {
    for (const std::uint32_t row : *rows) {
      DCN_CHECK(!seen[row]);
      seen[row] = true;
    }
  }
  DCN_CHECK_GE(split.train.size() + split.test.size() + 1, dataset.rows());
}

void CountRows(benchmark::State& state, std::size_t rows) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(rows));
}

void BenchmarkParse(benchmark::State& state, const Source& source) {
  std::size_t rows = 0;
  for (auto _ : state) {
    const data::Dataset dataset = ValueOrThrow(data::LoadDataset(source.folder()));
    const data::Split split = ValueOrThrow(data::MakeSplit(dataset.rows(), kTrainFraction));
    state.PauseTiming();
    rows = dataset.rows();
    CheckSound(dataset, split);
    state.ResumeTiming();
  }
  CountRows(state, rows);
}

void BenchmarkCache(benchmark::State& state, const Source& source) {
  // Written by the first call, mapped by the others.
  const data::Dataset parsed = ValueOrThrow(data::LoadDataset(source.folder(), source.cache()));
  for (auto _ : state) {
    const data::Dataset cached = ValueOrThrow(data::LoadDataset(source.folder(), source.cache()));
    const data::Split split = ValueOrThrow(data::MakeSplit(cached.rows(), kTrainFraction));
    state.PauseTiming();
    CheckSame(cached, parsed);
    CheckSound(cached, split);
    state.ResumeTiming();
  }
  CountRows(state, parsed.rows());
}

void BenchmarkSplit(benchmark::State& state, const Source& source) {
  const data::Dataset dataset = ValueOrThrow(data::LoadDataset(source.folder(), source.cache()));
  data::Split split;
  for (auto _ : state) split = ValueOrThrow(data::MakeSplit(dataset.rows(), kTrainFraction));
  CheckSound(dataset, split);
  CountRows(state, dataset.rows());
}

// Each value of each row leads to the entry of its key, which knows that it occurs in this row.
void CheckPlan(const data::BatchPlan& plan, const data::Dataset& dataset,
               std::span<const std::uint32_t> rows, std::size_t dimension) {
  DCN_CHECK_EQ(plan.rows(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const data::Segment& segment : plan.segments()) {
      const std::size_t offset = plan.value_offsets(i)[segment.table];
      if (offset < segment.value_offset) continue;
      const std::size_t in_segment = (offset - segment.value_offset) / dimension;
      if (in_segment >= segment.entry_count) continue;
      const std::size_t entry = segment.first_entry + in_segment;
      DCN_CHECK_EQ(plan.keys()[entry], dataset.ids(rows[i])[segment.table]);
      DCN_CHECK(std::ranges::binary_search(plan.occurrences(entry), i));
    }
  }
  std::size_t occurrences = 0;
  for (std::size_t e = 0; e < plan.keys().size(); ++e) occurrences += plan.occurrences(e).size();
  DCN_CHECK_EQ(occurrences, rows.size() * dataset.feature_count());
}

void BenchmarkPlan(benchmark::State& state, const Source& source) {
  constexpr std::uint32_t kDimension = 32;
  const data::Dataset dataset = ValueOrThrow(data::LoadDataset(source.folder(), source.cache()));
  const data::Split split = ValueOrThrow(data::MakeSplit(dataset.rows(), kTrainFraction));
  data::TableLayout layout;
  for (const data::Vocabulary& vocabulary : dataset.vocabularies()) {
    layout.dimensions.push_back(kDimension);
    layout.rows.push_back(vocabulary.table_rows());
  }
  layout.shard_count = 2;
  data::BatchPlanner planner(layout);
  const std::size_t batches = std::max<std::size_t>(split.train.size() / kBatchRows, 1);
  const std::size_t batch_rows = std::min(kBatchRows, split.train.size());
  std::size_t next = 0;
  for (auto _ : state) {
    const auto rows = std::span(split.train).subspan(next++ % batches * batch_rows, batch_rows);
    benchmark::DoNotOptimize(planner.Build(dataset, rows));
  }
  const auto rows = std::span(split.train).first(batch_rows);
  CheckPlan(planner.Build(dataset, rows), dataset, rows, kDimension);
  CountRows(state, batch_rows);
}

void Register(const BenchmarkOptions& options) {
  const auto source = std::make_shared<const Source>(options.data);
  const auto add = [&source](const char* name, auto run) {
    return WithExtremes(benchmark::RegisterBenchmark(
                            name, [source, run](benchmark::State& state) { run(state, *source); }))
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  add("ParseAndSplit", BenchmarkParse);
  add("ReadCacheAndSplit", BenchmarkCache);
  add("Split", BenchmarkSplit);
  add("PlanBatch", BenchmarkPlan);
}

}  // namespace
}  // namespace dcn::benchmarks

int main(int argc, char** argv) {
  return dcn::benchmarks::RunBenchmarks(argc, argv, dcn::benchmarks::Register);
}
