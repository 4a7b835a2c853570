// A dcn_ps beside a benchmark: a process of its own, as servers are in earnest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <sys/types.h>

#include "benchmarks/benchmark_main.h"

namespace dcn::benchmarks {

class ServerChild {
 public:
  /// Starts the dcn_ps of this build with so many shards at a free port of 127.0.0.1, and waits
  /// until it listens. Throws CheckError where that fails.
  explicit ServerChild(std::uint32_t shards);
  /// Ends it.
  ~ServerChild();
  ServerChild(const ServerChild&) = delete;
  ServerChild& operator=(const ServerChild&) = delete;

  [[nodiscard]] const std::string& address() const { return address_; }
  /// Rows that it holds, over all tables and shards, as its status says.
  [[nodiscard]] std::size_t rows() const;
  /// Its memory that is in use now.
  [[nodiscard]] std::size_t resident_bytes() const;

 private:
  ScratchFolder folder_;
  pid_t pid_ = 0;
  std::string address_;
};

}  // namespace dcn::benchmarks
