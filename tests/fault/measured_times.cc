#include "tests/fault/measured_times.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <fstream>
#include <string>

#include <fmt/format.h>

namespace dcn::testing {

double Percentile(std::vector<double> values, double share) {
  std::ranges::sort(values);
  const double place = std::ceil(share * static_cast<double>(values.size()));
  const auto index = static_cast<std::size_t>(std::max(place - 1, 0.0));
  return values.at(std::min(index, values.size() - 1));
}

StolenTime::StolenTime() : begin_(Read()) {}

double StolenTime::share() const {
  const Ticks now = Read();
  return (now.stolen - begin_.stolen) / std::max(1.0, now.all - begin_.all);
}

StolenTime::Ticks StolenTime::Read() {
  std::ifstream file("/proc/stat");
  std::string name;
  file >> name;
  Ticks ticks;
  for (int field = 0; field < 8; ++field) {  // user nice system idle iowait irq softirq steal
    file >> ticks.stolen;
    ticks.all += ticks.stolen;
  }
  return ticks;
}

void PrintTimes(const char* what, const std::vector<double>& seconds, const StolenTime& stolen) {
  const auto [least, most] = std::ranges::minmax(seconds);
  fmt::print(
      "{}: p50 {:.2f} s, p99 {:.2f} s of {} ({:.2f} to {:.2f} s); stolen meanwhile: {:.0f}%\n",
      what, Percentile(seconds, 0.5), Percentile(seconds, 0.99), seconds.size(), least, most,
      100 * stolen.share());
}

}  // namespace dcn::testing
