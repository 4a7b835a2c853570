// What the benchmark programs have in common: their main function and their options.
//
// Every program is Google Benchmark's (--benchmark_filter, --benchmark_format=json, …) with the
// options below. Each benchmark checks what it computed with DCN_CHECK: a wrong result ends the
// program with an error instead of a figure.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/check.h"
#include "common/status.h"

namespace dcn::benchmarks {

struct BenchmarkOptions {
  std::string data = "synthetic";       // as dcn_worker's --data
  std::size_t table_rows = 1'000'000;   // of the table that is pulled from and pushed to
  std::size_t memory_rows = 1'000'000;  // of the table whose memory is measured
  int threads = 1;
};

/// Parses the options, lets `register_benchmarks` register with Google Benchmark, runs what was
/// asked for. Denormals are flushed to zero on the calling thread. Returns the exit code: 0, 1
/// after a failed check, 2 for wrong options.
int RunBenchmarks(int argc, char** argv,
                  const std::function<void(const BenchmarkOptions&)>& register_benchmarks);

/// The value, or a CheckError with the Status.
template <typename T>
T ValueOrThrow(Result<T> result) {
  if (!result.ok()) throw CheckError(result.status().ToString());
  return std::move(result).value();
}
void ThrowIfError(const Status& status);

/// Smallest and largest of some repetitions.
double Smallest(const std::vector<double>& values);
double Largest(const std::vector<double>& values);

/// The value that the share `share` of `values` are at most; reorders them. REQUIRES: not empty.
double Quantile(std::vector<double>& values, double share);

/// Has a registered benchmark report the extremes of its repetitions beside mean and median.
template <typename Benchmark>
Benchmark* WithExtremes(Benchmark* registered) {
  return registered->ComputeStatistics("min", Smallest)->ComputeStatistics("max", Largest);
}

/// A fresh folder among the system's temporary files, removed in the end.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace dcn::benchmarks
