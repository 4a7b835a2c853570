// No bytes bring a decoder down: bodies cut, lengthened, mixed and changed at random, the same ones
// at every run. tests/fuzz/ does it without end.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "common/digest.h"
#include "common/net/frame.h"
#include "common/random.h"
#include "tests/ps/message_samples.h"

namespace dcn::ps {
namespace {

using testing::FindFault;
using testing::kMessageCodecs;
using testing::MessageCodec;
using testing::MessageSample;

// A copy with no byte to spare behind it, so that a sanitizer sees what is read there.
Body Exactly(std::span<const std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

TEST(MessageMutationTest, EveryCutIsFound) {
  for (const MessageSample& sample : testing::AllSamples()) {
    for (std::size_t size = 0; size < sample.body.size(); ++size) {
      Body again;
      const Body cut = Exactly(std::span(sample.body).first(size));
      EXPECT_EQ(sample.codec.recode(cut, again).code(), StatusCode::kDataLoss)
          << sample.codec.name << ": " << size << " of " << sample.body.size();
    }
  }
}

TEST(MessageMutationTest, BytesBehindTheEndAreFound) {
  for (const MessageSample& sample : testing::AllSamples()) {
    if (sample.codec.ignores_rest) continue;
    for (std::size_t more = 1; more <= 9; ++more) {
      Body longer = sample.body;
      longer.resize(longer.size() + more);
      Body again;
      EXPECT_EQ(sample.codec.recode(longer, again).code(), StatusCode::kDataLoss)
          << sample.codec.name << " and " << more;
    }
  }
}

TEST(MessageMutationTest, EveryFlippedBitIsFoundByTheFrame) {
  for (const MessageSample& sample : testing::AllSamples()) {
    net::FrameHeader header;
    header.body_bytes = static_cast<std::uint32_t>(sample.body.size());
    header.body_checksum = Checksum64(sample.body);
    Body body = sample.body;
    for (std::size_t bit = 0; bit < 8 * body.size(); ++bit) {
      const auto mask = static_cast<std::byte>(1U << bit % 8);
      body[bit / 8] ^= mask;
      EXPECT_FALSE(net::IsBodyIntact(header, body)) << sample.codec.name << " " << bit;
      body[bit / 8] ^= mask;
    }
  }
}

TEST(MessageMutationTest, AFlippedBitThatNoFrameFoundIsHarmless) {
  for (const MessageSample& sample : testing::AllSamples()) {
    Body body = sample.body;
    for (std::size_t bit = 0; bit < 8 * body.size(); ++bit) {
      const auto mask = static_cast<std::byte>(1U << bit % 8);
      body[bit / 8] ^= mask;
      EXPECT_EQ(FindFault(sample.codec, body), "") << sample.codec.name << " " << bit;
      body[bit / 8] ^= mask;
    }
  }
}

TEST(MessageMutationTest, AnyCountMayClaimAnything) {
  for (const MessageSample& sample : testing::AllSamples()) {
    for (const std::uint64_t claim : {~0ULL, 0ULL, 1ULL << 31, 1ULL << 32 | 1ULL}) {
      for (const std::size_t size : {4U, 8U}) {
        for (std::size_t at = 0; at + size <= sample.body.size(); ++at) {
          Body body = sample.body;
          std::memcpy(body.data() + at, &claim, size);
          EXPECT_EQ(FindFault(sample.codec, body), "") << sample.codec.name << " " << at;
        }
      }
    }
  }
}

TEST(MessageMutationTest, AKindThatIsTakenForAnotherIsHarmless) {
  for (const MessageSample& sample : testing::AllSamples()) {
    for (const MessageCodec& codec : kMessageCodecs) {
      EXPECT_EQ(FindFault(codec, sample.body), "") << sample.codec.name << " as " << codec.name;
    }
  }
}

// One of several changes at one of several places.
void Mutate(Body& body, const Body& other, const RandomStream& random, std::uint64_t draw) {
  const auto below = [&](std::uint64_t lane, std::size_t limit) {
    return static_cast<std::size_t>(random.Uniform(draw * 4 + lane) * static_cast<double>(limit));
  };
  const std::size_t at = below(0, body.size() + 1);
  const std::size_t kind = below(1, 5);
  const std::size_t amount = below(2, 24);
  const auto place = body.begin() + static_cast<std::ptrdiff_t>(at);
  const std::size_t rest = body.size() - at;
  if (kind == 0) {
    body.erase(place, place + static_cast<std::ptrdiff_t>(std::min(amount, rest)));
  } else if (kind == 1) {
    body.insert(place, amount, static_cast<std::byte>(below(3, 3)));
  } else if (kind == 2) {
    std::copy_n(other.begin(), std::min({amount, rest, other.size()}), place);
  } else if (rest >= 4) {
    const auto value = static_cast<std::uint32_t>(kind == 3 ? below(3, 40) : below(3, 1U << 31));
    std::memcpy(&*place, &value, 4);
  }
}

TEST(MessageMutationTest, AnyBytesGiveAMessageOrAnError) {
  const std::vector<MessageSample> samples = testing::AllSamples();
  constexpr std::uint64_t kRounds = 20'000;
  std::size_t accepted = 0;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    const RandomStream random(7, round);
    const MessageSample& sample = samples[round % samples.size()];
    const MessageSample& other = samples[(round / 3) % samples.size()];
    Body body = sample.body;
    for (std::uint64_t draw = 0; draw <= round % 4; ++draw) {
      Mutate(body, other.body, random, draw);
    }
    body = Exactly(body);
    ASSERT_EQ(FindFault(sample.codec, body), "") << sample.codec.name << ", round " << round;
    Body again;
    accepted += sample.codec.recode(body, again).ok() ? 1U : 0U;
  }
  // Both ways were tried.
  EXPECT_GT(accepted, kRounds / 100);
  EXPECT_LT(accepted, kRounds);
}

}  // namespace
}  // namespace dcn::ps
