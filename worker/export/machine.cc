#include "worker/export/machine.h"

#include <fstream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>

#include "common/thread_pool.h"

namespace dcn::output {
namespace {

/// The value of the first "model name : <value>" of /proc/cpuinfo.
std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with("model name")) continue;
    const std::size_t start = line.find_first_not_of(" \t", line.find(':') + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "";
}

std::uint64_t MemoryBytes() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page_bytes = ::sysconf(_SC_PAGESIZE);
  if (pages < 0 || page_bytes < 0) return 0;
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
}

}  // namespace

MachineSummary DescribeMachine() { return {CpuModel(), AvailableProcessors(), MemoryBytes()}; }

std::uint64_t PeakRssBytes() {
  struct rusage usage = {};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;  // Linux counts kilobytes
}

}  // namespace dcn::output
