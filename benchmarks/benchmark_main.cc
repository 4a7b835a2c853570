#include "benchmarks/benchmark_main.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <system_error>

#include <CLI/CLI.hpp>
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include "common/floating_point.h"
#include "common/thread_pool.h"

namespace dcn::benchmarks {

int RunBenchmarks(int argc, char** argv,
                  const std::function<void(const BenchmarkOptions&)>& register_benchmarks) {
  BenchmarkOptions options;
  options.threads = AvailableProcessors();
  CLI::App app("Benchmarks; the options of Google Benchmark (--benchmark_…) are taken, too.");
  app.add_option("--data", options.data,
                 "folder with MovieLens-1M or -100K, or 'synthetic' (of ML-1M's size)")
      ->capture_default_str();
  app.add_option("--table-rows", options.table_rows, "rows that are pulled from and pushed to")
      ->check(CLI::Range(8192, 1'000'000'000))
      ->capture_default_str();
  app.add_option("--memory-rows", options.memory_rows, "rows of the table whose memory is measured")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "threads of what uses several")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  benchmark::Initialize(&argc, argv);  // takes its own out of argv
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  FlushDenormalsToZero();
  try {
    register_benchmarks(options);
    benchmark::RunSpecifiedBenchmarks();
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", argv[0], error.what());
    return 1;
  }
  benchmark::Shutdown();
  return 0;
}

double Smallest(const std::vector<double>& values) { return *std::ranges::min_element(values); }

double Largest(const std::vector<double>& values) { return *std::ranges::max_element(values); }

double Quantile(std::vector<double>& values, double share) {
  const auto at = static_cast<std::size_t>(share * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(at));
  return values[at];
}

void ThrowIfError(const Status& status) {
  if (!status.ok()) throw CheckError(status.ToString());
}

ScratchFolder::ScratchFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "dcn-benchmark-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw CheckError("cannot make the folder " + name);
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace dcn::benchmarks
