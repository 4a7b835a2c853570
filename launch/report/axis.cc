#include "launch/report/axis.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "common/check.h"
#include "launch/sweep/progress.h"

namespace dcn::report {

double Axis::Position(double value) const {
  if (high == low) return (from + to) / 2;
  const double share =
      is_logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  return from + share * (to - from);
}

std::vector<double> LinearTicks(double low, double high, int wanted) {
  DCN_CHECK(low < high && wanted > 0);
  const double raw = (high - low) / wanted;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    // The nearest in ratio: 1.4 is nearer to 1, 1.5 to 2.
    if (raw <= factor * power * 1.42) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> ticks;
  const double slack = step * 1e-9;
  for (double k = std::ceil((low - slack) / step); k * step <= high + slack; ++k) {
    ticks.push_back(k * step);
  }
  return ticks;
}

std::vector<double> LogarithmicTicks(double low, double high) {
  DCN_CHECK(low > 0 && low < high);
  const bool is_short = high / low < 100;
  std::vector<double> ticks;
  for (double power = std::pow(10.0, std::floor(std::log10(low))); power <= high; power *= 10) {
    for (const int factor : {1, 2, 3, 5, 7}) {
      if (!is_short && (factor == 3 || factor == 7)) continue;
      const double tick = factor * power;
      if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push_back(tick);
    }
  }
  return ticks;
}

std::vector<std::string> LinearTickTexts(const std::vector<double>& ticks) {
  int decimals = 0;
  for (const double tick : ticks) {
    // Ticks are multiples of a step; the rest is rounding.
    const double slack = 1e-9 * std::max(std::abs(tick), 1e-3);
    while (decimals < 6) {
      const double scaled = tick * std::pow(10.0, decimals);
      if (std::abs(scaled - std::round(scaled)) <= slack * std::pow(10.0, decimals)) break;
      ++decimals;
    }
  }
  std::vector<std::string> texts;
  for (const double tick : ticks) {
    texts.push_back(decimals == 0 ? sweep::FormatCount(tick + 0.0)
                                  : fmt::format("{:.{}f}", tick, decimals));
  }
  return texts;
}

std::string FormatTick(double value) { return fmt::format("{:.6g}", value); }

int DecimalsFor(double maximum) {
  if (!(maximum > 0) || !std::isfinite(maximum)) return 2;
  return std::clamp(2 - static_cast<int>(std::floor(std::log10(maximum))), 0, 5);
}

}  // namespace dcn::report
