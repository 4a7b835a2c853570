// What a row takes in memory of a server that two workers push Zipf-distributed keys to, and
// whether many further requests leave anything behind.
#pragma once

#include "benchmarks/benchmark_main.h"

namespace dcn::benchmarks {

/// Registers ServerMemory/adam: options.memory_rows rows of 32 floats.
void RegisterServerMemory(const BenchmarkOptions& options);

}  // namespace dcn::benchmarks
