// Decoding takes no memory that the bytes do not pay for, and none at all in a step like the last:
// every allocation of this program is counted.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "tests/ps/message_samples.h"
#include "tests/testing/allocation_count.h"

namespace dcn::ps {
namespace {

using dcn::testing::CountAllocations;
using testing::MessageSample;
using testing::SampleRows;
using testing::SampleStep;

class MessageAllocationTest : public ::testing::Test {
 protected:
  void SetUp() override { DCN_SKIP_WITHOUT_ALLOCATION_COUNT(); }
};

TEST_F(MessageAllocationTest, CountsAllocations) {
  // A direct call: a compiler may leave out a new-expression whose memory nobody uses.
  const std::size_t before = CountAllocations().allocations;
  const std::size_t bytes_before = CountAllocations().bytes;
  void* const memory = ::operator new(40);
  EXPECT_EQ(CountAllocations().allocations - before, 1U);
  EXPECT_EQ(CountAllocations().bytes - bytes_before, 40U);
  ::operator delete(memory);
}

TEST_F(MessageAllocationTest, AStepLikeTheLastAllocatesNothing) {
  SampleStep large(16, 5, 1000);
  SampleStep small(1, 3, 10);
  Body body;
  PushPullMessage message;
  PullMessage pull;
  AssignMessage assign;
  for (int step = 1; step <= 4; ++step) {
    const std::size_t before = CountAllocations().allocations;
    for (SampleStep* sample : {&large, &small}) {
      EncodePushPull(0, sample->push(), sample->pull, body);
      ASSERT_TRUE(DecodePushPull(body, message).ok());
      EncodePull(0, sample->pull, body);
      ASSERT_TRUE(DecodePull(body, pull).ok());
      const SampleRows& rows = sample->rows[0];
      EncodeAssign(0, 0, rows.keys, rows.values, body);
      ASSERT_TRUE(DecodeAssign(body, assign).ok());
      std::ranges::fill(EncodeRows(9, rows.values.size(), body), 1.0F);
      ASSERT_TRUE(DecodeRows(body).ok());
    }
    if (step > 1) {
      EXPECT_EQ(CountAllocations().allocations - before, 0U) << step;
    }
  }
}

TEST_F(MessageAllocationTest, AClaimOfMuchTakesNoMemory) {
  constexpr std::size_t kFew = 4096;  // error texts
  for (const MessageSample& sample : testing::AllSamples()) {
    for (std::size_t at = 0; at + 4 <= sample.body.size(); ++at) {
      for (const std::uint32_t claim : {0xffffffffU, 65536U, 4096U}) {
        Body body = sample.body;
        std::memcpy(body.data() + at, &claim, 4);
        Body again;
        again.reserve(body.size());
        const std::size_t before = CountAllocations().bytes;
        (void)sample.codec.recode(body, again);
        // Lists grow by doubling, and an entry in memory is a few times as long as on the wire.
        EXPECT_LE(CountAllocations().bytes - before, kFew + 16 * body.size())
            << sample.codec.name << " " << at;
      }
    }
  }
}

}  // namespace
}  // namespace dcn::ps
