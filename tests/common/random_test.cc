#include "common/random.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "common/check.h"

namespace dcn {
namespace {

using Words = std::array<std::uint32_t, 4>;

// philox4x32 with 10 rounds in Random123's kat_vectors: counter = (block, stream), key = seed.
TEST(RandomStreamTest, GivesTheKnownAnswersOfPhilox4x32) {
  constexpr std::uint64_t kOnes = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(RandomStream(0, 0).Block(0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(RandomStream(kOnes, kOnes).Block(kOnes),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(RandomStream(0x299f31d0a4093822, 0x0370734413198a2e).Block(0x85a308d3243f6a88),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStreamTest, WordsAreThoseOfTheBlocks) {
  const RandomStream random(11, 12);
  for (std::uint64_t block : {0ULL, 1ULL, 7ULL, 1ULL << 40}) {
    const Words words = random.Block(block);
    for (std::uint64_t k = 0; k < 4; ++k) EXPECT_EQ(random.Word(4 * block + k), words[k]);
    for (std::uint64_t k = 0; k < 2; ++k) {
      EXPECT_EQ(random.Word64(2 * block + k), words[2 * k] | std::uint64_t{words[2 * k + 1]} << 32);
    }
  }
}

TEST(RandomStreamTest, SeedAndStreamEachChangeTheWords) {
  const std::uint64_t base = RandomStream(1, 1).Word64(0);
  EXPECT_NE(RandomStream(2, 1).Word64(0), base);
  EXPECT_NE(RandomStream(1, 2).Word64(0), base);
  EXPECT_NE(RandomStream(1 | 1ULL << 32, 1).Word64(0), base);
  EXPECT_NE(RandomStream(1, 1 | 1ULL << 32).Word64(0), base);
}

// Bounds of five standard errors: a right generator fails one in a million seeds; ours is fixed.
TEST(RandomStreamTest, UniformHasBoundsAndMomentsOfTheUniform) {
  constexpr int kDraws = 100'000;
  const RandomStream random(3, 4);
  double sum = 0;
  double squares = 0;
  for (std::uint64_t i = 0; i < kDraws; ++i) {
    const double value = random.Uniform(i);
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    ASSERT_EQ(value, static_cast<double>(random.Word64(i) >> 11) / 9007199254740992.0);
    sum += value;
    squares += value * value;
  }
  const double scale = 5.0 / std::sqrt(kDraws);
  EXPECT_NEAR(sum / kDraws, 1.0 / 2, scale * std::sqrt(1.0 / 12));
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, scale * std::sqrt(4.0 / 45));
}

TEST(RandomStreamTest, NormalHasTheMomentsOfTheNormal) {
  constexpr int kDraws = 100'000;
  const RandomStream random(5, 6);
  std::array<double, 4> moments{};
  for (std::uint64_t i = 0; i < kDraws; ++i) {
    const double value = random.Normal(i);
    ASSERT_TRUE(std::isfinite(value));
    double power = 1;
    for (double& moment : moments) moment += (power *= value) / kDraws;
  }
  const double scale = 5.0 / std::sqrt(kDraws);
  EXPECT_NEAR(moments[0], 0, scale);
  EXPECT_NEAR(moments[1], 1, scale * std::sqrt(2.0));
  EXPECT_NEAR(moments[2], 0, scale * std::sqrt(15.0));
  EXPECT_NEAR(moments[3], 3, scale * std::sqrt(96.0));
}

TEST(RandomStreamTest, FillUniformIsAFunctionOfTheIndexAlone) {
  const RandomStream random(7, 8);
  std::vector<float> whole(1000);
  random.FillUniform(0.05F, 0, whole);
  for (const std::size_t first : {0U, 4U, 12U, 996U}) {
    for (const std::size_t count : {0U, 1U, 2U, 3U, 4U}) {
      std::vector<float> part(count, 9.0F);
      random.FillUniform(0.05F, first, part);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<long>(first)));
    }
  }
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const double unit = (random.Word(i) >> 8) / 16777216.0;
    EXPECT_NEAR(whole[i], 0.05 * (2 * unit - 1), 1e-8);
  }
}

TEST(RandomStreamTest, FillUniformStaysWithinItsLimit) {
  std::vector<float> values(100'000);
  RandomStream(9, 10).FillUniform(0.25F, 0, values);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  EXPECT_GE(*low, -0.25F);
  EXPECT_LT(*low, -0.2499F);
  EXPECT_LT(*high, 0.25F);
  EXPECT_GT(*high, 0.2499F);
  const double mean =
      std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  EXPECT_NEAR(mean, 0, 5 * 0.25 / std::sqrt(3.0 * static_cast<double>(values.size())));
}

TEST(RandomStreamTest, FillUniformStartsAtABlock) {
  std::vector<float> values(4);
  EXPECT_THROW(RandomStream(1, 2).FillUniform(1.0F, 2, values), CheckError);
}

TEST(StreamIdTest, IsXxh3OfTheName) {
  EXPECT_EQ(StreamId(""), 0x2d06800538d394c2U);  // the published XXH3-64 of nothing
  EXPECT_NE(StreamId("embedding/movie_id"), StreamId("embedding/user_id"));
}

TEST(BoundedWordTest, CoversTheRangeAndNothingElse) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  for (const std::uint64_t bound : {std::uint64_t{1}, std::uint64_t{3}, std::uint64_t{10}, kMax}) {
    EXPECT_EQ(BoundedWord(0, bound), 0U);
    EXPECT_EQ(BoundedWord(kMax, bound), bound - 1);
  }
  EXPECT_EQ(BoundedWord(kMax / 2, 3), 1U);
}

std::vector<std::uint32_t> Shuffled(std::size_t count, std::uint64_t seed, std::uint64_t stream) {
  std::vector<std::uint32_t> values(count);
  std::iota(values.begin(), values.end(), 0U);
  Shuffle(RandomStream(seed, stream), values);
  return values;
}

TEST(ShuffleTest, PermutesAnyNumberOfValues) {
  for (const std::size_t count : {0U, 1U, 2U, 3U, 7U, 1000U}) {
    std::vector<std::uint32_t> values = Shuffled(count, 1, 2);
    EXPECT_EQ(values, Shuffled(count, 1, 2));
    std::sort(values.begin(), values.end());
    for (std::uint32_t i = 0; i < count; ++i) ASSERT_EQ(values[i], i);
  }
  EXPECT_NE(Shuffled(1000, 1, 2), Shuffled(1000, 2, 2));
  EXPECT_NE(Shuffled(1000, 1, 2), Shuffled(1000, 1, 3));
}

// Computed apart from this code, from the definitions of Philox and of Fisher-Yates.
TEST(ShuffleTest, GivesThePinnedPermutation) {
  EXPECT_EQ(Shuffled(12, 42, 7),
            (std::vector<std::uint32_t>{2, 6, 9, 0, 11, 4, 3, 7, 1, 8, 10, 5}));
}

TEST(ShuffleTest, EveryPermutationIsAboutEquallyLikely) {
  std::vector<int> counts(6);
  constexpr int kDraws = 6000;
  for (std::uint64_t seed = 0; seed < kDraws; ++seed) {
    const auto values = Shuffled(3, seed, 0);
    ++counts[2 * values[0] + (values[1] > values[2] ? 1 : 0)];
  }
  for (const int count : counts) EXPECT_NEAR(count, 1000, 5 * std::sqrt(1000 * 5.0 / 6));
}

}  // namespace
}  // namespace dcn
