// What fault tests say of the times that they measure.
#pragma once

#include <vector>

namespace dcn::testing {

/// The least of the values below or at which `share` of them lie; REQUIRES: at least one.
double Percentile(std::vector<double> values, double share);

/// The share of this machine's processors that its host has given to others while this object
/// lives: times that were measured meanwhile say less of the program.
class StolenTime {
 public:
  StolenTime();
  [[nodiscard]] double share() const;

 private:
  struct Ticks {
    double all = 0;
    double stolen = 0;
  };
  static Ticks Read();

  const Ticks begin_;
};

/// Prints "WHAT: p50 1.00 s, p99 2.00 s of 3 (0.50 to 2.00 s); stolen meanwhile: 1%".
void PrintTimes(const char* what, const std::vector<double>& seconds, const StolenTime& stolen);

}  // namespace dcn::testing
