// A desk remembers no more after 100,000 requests than after one: every allocation of this program
// is counted.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ps/server/shard_desk.h"
#include "tests/ps/push_parts.h"
#include "tests/testing/allocation_count.h"

namespace dcn::ps {
namespace {

using dcn::testing::CountAllocations;
using testing::PushParts;

const std::vector<TableDefinition> kTables = {{"a", 8, {}, AdamOptions{}},
                                              {"b", 3, {}, SgdOptions{}}};

// Gives room that the test has prepared and counts the answers.
class CountingReply final : public Reply {
 public:
  CountingReply(std::vector<float>& room, std::size_t& answers) : room_(room), answers_(answers) {}
  std::span<float> MakeRoom(Step /*step*/, StepFlags /*flags*/, std::size_t count) override {
    return std::span(room_).first(count);
  }
  void SetFlags(StepFlags /*flags*/) override {}
  void SetReport(const SnapshotReport& /*report*/) override {}
  void Send(const Status& status) override {
    EXPECT_TRUE(status.ok()) << status.ToString();
    ++answers_;
  }

 private:
  std::vector<float>& room_;
  std::size_t& answers_;
};

class ShardDeskGrowthTest : public ::testing::Test {
 protected:
  void SetUp() override {
    DCN_SKIP_WITHOUT_ALLOCATION_COUNT();
    for (Key key = 0; key < 200; ++key) keys_.push_back(key);
    pull_ = {{0, 8, keys_}, {1, 3, keys_}};
    desk_.StartEpoch("x", 1, 2);
    CountingReply reply(room_, answers_);
    desk_.CreateTables({1, 0}, kTables, reply);
  }

  // One request, with everything that it needs made before.
  void PushPull(std::uint32_t rank, Step step) {
    const auto nodes = RankNodes(rank, 2, 4);
    PushParts part(rank, step, 0.01F, nodes);
    for (Key key = step % 3; key < 100; ++key) {
      part.Add(0, key, nodes[0], std::vector<float>(8, 0.5F));
    }
    const PushRequest request = part.Request();
    auto reply = std::make_unique<CountingReply>(room_, answers_);
    const std::size_t before = CountAllocations().allocations;
    desk_.PushPull({1, rank}, request, std::span<const PullKeys>(pull_), std::move(reply));
    allocations_of_desk_ += CountAllocations().allocations - before;
  }

  std::vector<Key> keys_;
  std::vector<PullKeys> pull_;
  std::vector<float> room_ = std::vector<float>(200 * 11);
  std::size_t answers_ = 0;
  std::size_t allocations_of_desk_ = 0;
  ShardDesk desk_;
};

TEST_F(ShardDeskGrowthTest, AStepOfAKnownSizeAllocatesNothing) {
  for (Step step = 1; step <= 40; ++step) {
    // Whoever comes first is the one whose pull waits.
    PushPull(static_cast<std::uint32_t>(step % 2), step);
    PushPull(static_cast<std::uint32_t>(1 - step % 2), step);
    if (step == 12) allocations_of_desk_ = 0;
  }
  EXPECT_EQ(answers_, 81U);
  // The rates' history grows, by doubling.
  EXPECT_LE(allocations_of_desk_, 8U);
}

TEST_F(ShardDeskGrowthTest, RepeatedRequestsLeaveNothingBehind) {
  PushPull(0, 1);
  const PushRequest repetition{
      .rank = 0, .step = 1, .learning_rate = 0.01F, .nodes = {}, .gradients = {}};
  const auto ask = [&](int count) {
    for (int i = 0; i < count; ++i) {
      auto reply = std::make_unique<CountingReply>(room_, answers_);
      if (i % 2 == 0) {
        desk_.PushPull({1, 0}, repetition, std::span<const PullKeys>(pull_), std::move(reply));
      } else {
        desk_.Pull({1, 1}, std::span<const PullKeys>(pull_), *reply);
      }
    }
  };
  ask(2);
  const std::size_t kept = CountAllocations().allocations - CountAllocations().releases;
  ask(100'000);
  EXPECT_EQ(CountAllocations().allocations - CountAllocations().releases, kept);
  EXPECT_EQ(answers_, 1U + 50'001U);
  EXPECT_EQ(desk_.counts().waiting, 1U);
}

}  // namespace
}  // namespace dcn::ps
