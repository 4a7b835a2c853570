// Dense-form Adam by replay against a sweep of the whole table at each step, over 3,000 steps, with
// rows that are touched at every step, now and then, once, and never.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/floating_point.h"
#include "common/random.h"
#include "ps/table/embedding_table.h"
#include "tests/ps/float_bits.h"
#include "tests/ps/slow_table.h"

namespace dcn::ps {
namespace {

using testing::Bits;

constexpr Step kSteps = 3000;
constexpr Key kEveryStep = 0;
constexpr Key kEverySecond = 1;
// 2 to 19: now and then, at random, ever more seldom
constexpr Key kOnceAtFirst = 20;
constexpr Key kOnceAtStep100 = 21;
constexpr Key kOnceAtLast = 22;
constexpr Key kNever = 23;
constexpr Key kAssignedOnly = 24;
constexpr Key kKeys = 25;

bool IsTouched(Key key, Step step, const RandomStream& random) {
  if (key == kEveryStep) return true;
  if (key == kEverySecond) return step % 2 == 0;
  if (key == kOnceAtFirst) return step == 1;
  if (key == kOnceAtStep100) return step == 100;
  if (key == kOnceAtLast) return step == kSteps;
  if (key == kNever || key == kAssignedOnly) return false;
  const double chance = std::pow(0.6, static_cast<double>(key));
  return random.Uniform(step * kKeys + key) < chance;
}

struct ReplayCase {
  std::string name;
  AdamOptions options;
  float (*rate)(Step step);
  float gradient_limit;
  std::uint32_t dimension;
};

class ReplayTest : public ::testing::TestWithParam<ReplayCase> {};

TEST_P(ReplayTest, HasTheBitsOfASweepAtEachStep) {
  FlushDenormalsToZero();
  const ReplayCase& c = GetParam();
  const TableDefinition definition{"a", c.dimension, {.seed = 3}, c.options};
  EmbeddingTable table(definition);
  testing::SlowTable swept(definition);
  const RandomStream chance(1, 1);
  std::vector<Key> all;
  for (Key key = 0; key < kKeys; ++key) {
    all.push_back(key);
    swept.At(key);  // swept from the start on
  }
  const std::vector<float> assigned(c.dimension, 0.3F);
  table.Assign(std::vector<Key>{kAssignedOnly}, assigned);
  swept.Assign(kAssignedOnly, assigned);

  for (Step step = 1; step <= kSteps; ++step) {
    std::vector<Key> keys;
    for (const Key key : all) {
      if (IsTouched(key, step, chance)) keys.push_back(key);
    }
    std::vector<float> gradients(keys.size() * c.dimension);
    RandomStream(2, step).FillUniform(c.gradient_limit, 0, gradients);
    std::map<Key, std::vector<float>> by_key;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto row = std::span(gradients).subspan(i * c.dimension, c.dimension);
      by_key[keys[i]].assign(row.begin(), row.end());
    }
    table.ApplyStep(c.rate(step), keys, gradients);
    swept.ApplyStep(c.rate(step), by_key);
    // Reading some rows in between must not change where they end.
    if (step % 97 == 0) {
      std::vector<float> unused(3 * c.dimension);
      table.Read(std::vector<Key>{kOnceAtFirst, step % kKeys, kNever}, unused);
    }
  }

  std::vector<float> values(kKeys * c.dimension);
  table.Read(all, values);
  for (const Key key : all) {
    const auto row = std::span(values).subspan(key * c.dimension, c.dimension);
    EXPECT_EQ(Bits(row), Bits(swept.At(key).w)) << "key " << key;
    const auto stored = table.Find(key);
    ASSERT_EQ(stored.has_value(), key != kNever);
    if (key == kNever) continue;
    EXPECT_EQ(Bits(stored->state.first(c.dimension)), Bits(swept.At(key).m)) << "key " << key;
    EXPECT_EQ(Bits(stored->state.last(c.dimension)), Bits(swept.At(key).v)) << "key " << key;
  }
}

float Constant(Step) { return 0.01F; }
float Decaying(Step step) { return 0.1F / static_cast<float>(step); }
float Restarting(Step step) {
  return 0.02F * (1.0F + std::cos(static_cast<float>(step % 300) / 300.0F * 3.14159265F));
}
float Pausing(Step step) { return step % 500 < 400 ? 0.0F : 0.03F; }
float Doubling(Step step) { return 1e-8F * std::exp2(static_cast<float>(step / 100)); }

constexpr AdamOptions kKeras{};
constexpr AdamOptions kFastDecay{.beta_1 = 0.5F, .beta_2 = 0.7F};
constexpr AdamOptions kSlowMean{.beta_1 = 0.999F, .beta_2 = 0.9F};

INSTANTIATE_TEST_SUITE_P(
    Rates, ReplayTest,
    ::testing::Values(ReplayCase{"Constant", kKeras, Constant, 1e-2F, 32},
                      ReplayCase{"ConstantOddWidth", kKeras, Constant, 1.0F, 7},
                      ReplayCase{"ConstantWide", kKeras, Constant, 1e-4F, 33},
                      ReplayCase{"Decaying", kKeras, Decaying, 1e-2F, 16},
                      ReplayCase{"Restarting", kKeras, Restarting, 1e-2F, 31},
                      ReplayCase{"Pausing", kKeras, Pausing, 1e-2F, 2},
                      ReplayCase{"Doubling", kKeras, Doubling, 1e-2F, 1},
                      ReplayCase{"Denormal", kKeras, Constant, 1e-18F, 32},
                      ReplayCase{"DenormalFastDecay", kFastDecay, Pausing, 1e-15F, 64},
                      ReplayCase{"FastDecay", kFastDecay, Restarting, 1e-2F, 33},
                      ReplayCase{"SlowMean", kSlowMean, Constant, 1e-2F, 32},
                      ReplayCase{"SlowMeanPausing", kSlowMean, Pausing, 1e-2F, 17}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace dcn::ps
