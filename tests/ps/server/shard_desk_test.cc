#include "ps/server/shard_desk.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/ps/float_bits.h"
#include "tests/ps/push_parts.h"

namespace dcn::ps {
namespace {

using testing::Bits;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::PushParts;

const std::vector<TableDefinition> kTables = {{"a", 2, {.seed = 1}, AdamOptions{}},
                                              {"b", 3, {.seed = 1}, SgdOptions{}}};

// An answer that a test looks at.
struct Box {
  std::optional<Status> status;
  Step step = 0;
  StepFlags flags = 0;
  std::optional<SnapshotReport> report;
  std::vector<float> values;
  bool is_dropped = false;

  [[nodiscard]] std::string text() const { return status ? status->ToString() : "none"; }
};

class BoxReply final : public Reply {
 public:
  explicit BoxReply(Box& box) : box_(box) {}
  ~BoxReply() override { box_.is_dropped = !box_.status.has_value(); }
  std::span<float> MakeRoom(Step step, StepFlags flags, std::size_t count) override {
    box_.step = step;
    box_.flags = flags;
    box_.values.assign(count, -1.0F);
    return box_.values;
  }
  void SetFlags(StepFlags flags) override { box_.flags = flags; }
  void SetReport(const SnapshotReport& report) override { box_.report = report; }
  void Send(const Status& status) override {
    EXPECT_FALSE(box_.status.has_value()) << "answered twice";
    box_.status = status;
  }

 private:
  Box& box_;
};

class ShardDeskTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kEpoch = 5;

  void Start(std::uint32_t ranks) {
    desk_.StartEpoch("x", kEpoch, ranks);
    Box box;
    BoxReply reply(box);
    desk_.CreateTables({kEpoch, 0}, kTables, reply);
    ASSERT_EQ(box.text(), "ok");
  }

  // The wish for rows 1 and 2 of table a, and row 9 of b.
  std::vector<PullKeys> Pull() const {
    return {{.table = 0, .dimension = 2, .keys = keys_a_},
            {.table = 1, .dimension = 3, .keys = keys_b_}};
  }

  static PushParts Part(std::uint32_t rank, Step step, std::uint32_t ranks = 2) {
    const auto nodes = RankNodes(rank, ranks, 4);
    PushParts part(rank, step, 0.1F, nodes);
    part.Add(0, 1, nodes[0], std::vector<float>{0.5F, 1.0F + static_cast<float>(rank)});
    part.Add(1, 9, nodes[0], std::vector<float>(3, 2.0F));
    return part;
  }

  void PushPull(std::uint32_t rank, Step step, Box& box, std::uint64_t epoch = kEpoch) {
    PushParts part = Part(rank, step);
    const std::vector<PullKeys> pull = Pull();
    desk_.PushPull({epoch, rank}, part.Request(), std::span<const PullKeys>(pull),
                   std::make_unique<BoxReply>(box));
    part.Spoil();
  }

  // The rows after `steps` steps of two ranks, by a plain Shard.
  std::vector<float> Expected(Step steps) const {
    Shard shard(2);
    EXPECT_TRUE(shard.CreateTables(kTables).ok());
    for (Step step = 1; step <= steps; ++step) {
      for (std::uint32_t rank = 0; rank < 2; ++rank) {
        PushParts part = Part(rank, step);
        EXPECT_TRUE(shard.Push(part.Request()).ok());
      }
    }
    std::vector<float> values(2 * 2 + 3);
    const std::span<float> all(values);
    const std::vector<RowsToPull> pull = {{0, keys_a_, all.first(4)}, {1, keys_b_, all.last(3)}};
    EXPECT_TRUE(shard.Pull(pull).ok());
    return values;
  }

  const std::vector<Key> keys_a_ = {1, 2};
  const std::vector<Key> keys_b_ = {9};
  ShardDesk desk_;
};

TEST_F(ShardDeskTest, AnswersEverybodyOnceTheLastRankHasPushed) {
  for (const bool backwards : {false, true}) {
    Start(2);
    Box first;
    Box last;
    PushPull(backwards ? 1 : 0, 1, first);
    EXPECT_FALSE(first.status.has_value());
    EXPECT_EQ(desk_.counts().waiting, 1U);
    PushPull(backwards ? 0 : 1, 1, last);
    EXPECT_EQ(first.text(), "ok");
    EXPECT_EQ(last.text(), "ok");
    EXPECT_EQ(first.step, 1U);
    EXPECT_EQ(Bits(first.values), Bits(Expected(1)));
    EXPECT_EQ(Bits(last.values), Bits(Expected(1)));
    EXPECT_EQ(desk_.counts().waiting, 0U);
  }
}

TEST_F(ShardDeskTest, APullNeedsNoStep) {
  Start(2);
  Box box;
  BoxReply reply(box);
  const auto pull = Pull();
  desk_.Pull({kEpoch, 1}, std::span<const PullKeys>(pull), reply);
  EXPECT_EQ(box.text(), "ok");
  EXPECT_EQ(box.step, 0U);
  EXPECT_EQ(Bits(box.values), Bits(Expected(0)));
}

TEST_F(ShardDeskTest, RowsGoWhereTheAskerHasThem) {
  Start(2);
  std::vector<float> values(7);
  const std::span<float> all(values);
  const std::vector<RowsToPull> rows = {{0, keys_a_, all.first(4)}, {1, keys_b_, all.last(3)}};
  PushParts part = Part(0, 1);
  Box in_place;
  desk_.PushPull({kEpoch, 0}, part.Request(), std::span<const RowsToPull>(rows),
                 std::make_unique<BoxReply>(in_place));
  part.Spoil();
  EXPECT_FALSE(in_place.status.has_value());
  Box other;
  PushPull(1, 1, other);
  EXPECT_EQ(in_place.text(), "ok");
  EXPECT_THAT(in_place.values, IsEmpty());
  EXPECT_EQ(Bits(values), Bits(Expected(1)));
}

TEST_F(ShardDeskTest, ARepetitionThatWaitsTakesTheFirstOnesPlace) {
  Start(2);
  Box first;
  Box again;
  Box other;
  PushPull(0, 1, first);
  PushPull(0, 1, again);
  EXPECT_TRUE(first.is_dropped);
  EXPECT_FALSE(again.status.has_value());
  PushPull(1, 1, other);
  EXPECT_EQ(again.text(), "ok");
  EXPECT_FALSE(first.status.has_value());
  EXPECT_EQ(Bits(again.values), Bits(Expected(1)));
}

TEST_F(ShardDeskTest, ARepetitionOfAnAppliedStepIsAnsweredAndNotApplied) {
  Start(2);
  Box boxes[5];
  PushPull(0, 1, boxes[0]);
  PushPull(1, 1, boxes[1]);
  PushPull(0, 1, boxes[2]);
  PushPull(1, 1, boxes[3]);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(boxes[i].text(), "ok");
    EXPECT_EQ(Bits(boxes[i].values), Bits(Expected(1)));
  }
  // Also when another rank is ahead by then.
  Box ahead;
  PushPull(1, 2, ahead);
  PushPull(0, 1, boxes[4]);
  EXPECT_EQ(boxes[4].text(), "ok");
  EXPECT_EQ(Bits(boxes[4].values), Bits(Expected(1)));
  EXPECT_FALSE(ahead.status.has_value());
  Box last;
  PushPull(0, 2, last);
  EXPECT_EQ(Bits(ahead.values), Bits(Expected(2)));
}

TEST_F(ShardDeskTest, RefusesStepsOutOfTurn) {
  Start(2);
  for (const Step step : {Step{0}, Step{2}}) {
    Box box;
    PushPull(0, step, box);
    EXPECT_EQ(box.status->code(), StatusCode::kOutOfRange) << step;
  }
  Box first;
  Box second;
  Box early;
  PushPull(0, 1, first);
  PushPull(0, 2, early);
  EXPECT_EQ(early.status->code(), StatusCode::kOutOfRange);
  EXPECT_FALSE(first.status.has_value()) << "the first still waits";
  PushPull(1, 1, second);
  EXPECT_EQ(first.text(), "ok");
}

TEST_F(ShardDeskTest, APullThatIsRefusedLeavesThePushUndone) {
  Start(2);
  const std::vector<std::vector<PullKeys>> bad = {
      {{.table = 2, .dimension = 2, .keys = keys_a_}},
      {{.table = 0, .dimension = 3, .keys = keys_a_}},
  };
  for (const auto& pull : bad) {
    Box box;
    PushParts part = Part(0, 1);
    desk_.PushPull({kEpoch, 0}, part.Request(), std::span<const PullKeys>(pull),
                   std::make_unique<BoxReply>(box));
    EXPECT_FALSE(box.status->ok());
    Box plain;
    BoxReply reply(plain);
    desk_.Pull({kEpoch, 0}, std::span<const PullKeys>(pull), reply);
    EXPECT_EQ(plain.text(), box.text());
  }
  Box first;
  Box last;
  PushPull(0, 1, first);
  EXPECT_FALSE(first.status.has_value()) << "it was not pushed before";
  PushPull(1, 1, last);
  EXPECT_EQ(Bits(first.values), Bits(Expected(1)));
}

TEST_F(ShardDeskTest, NamesADimensionThatIsNotTheTables) {
  Start(1);
  const std::vector<PullKeys> pull = {{.table = 1, .dimension = 8, .keys = keys_a_}};
  Box box;
  BoxReply reply(box);
  desk_.Pull({kEpoch, 0}, std::span<const PullKeys>(pull), reply);
  EXPECT_EQ(box.text(),
            "invalid argument: table 'b': rows of dimension 8 are wanted, it has dimension 3");
  // Without keys there is nothing to differ.
  const std::vector<PullKeys> none = {{.table = 1, .dimension = 0, .keys = {}}};
  Box empty;
  BoxReply empty_reply(empty);
  desk_.Pull({kEpoch, 0}, std::span<const PullKeys>(none), empty_reply);
  EXPECT_EQ(empty.text(), "ok");
}

TEST_F(ShardDeskTest, RefusesAnAnswerAboveTheLimitBeforeTakingMemory) {
  desk_.StartEpoch("x", kEpoch, 1);
  const std::vector<TableDefinition> wide = {{"wide", 4096, {.seed = 1}, SgdOptions{}}};
  Box created;
  BoxReply create_reply(created);
  desk_.CreateTables({kEpoch, 0}, wide, create_reply);
  ASSERT_EQ(created.text(), "ok");
  const std::vector<Key> keys(50'000);
  const std::vector<PullKeys> pull = {{0, 4096, keys}, {0, 4096, keys}};
  Box box;
  BoxReply reply(box);
  desk_.Pull({kEpoch, 0}, std::span<const PullKeys>(pull), reply);
  EXPECT_EQ(box.status->code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(box.status->message(), HasSubstr("fewer rows at once"));
  EXPECT_THAT(box.values, IsEmpty());
}

TEST_F(ShardDeskTest, RefusesAPushThroughAnotherRanksConnection) {
  Start(2);
  PushParts part = Part(1, 1);
  const auto pull = Pull();
  Box box;
  desk_.PushPull({kEpoch, 0}, part.Request(), std::span<const PullKeys>(pull),
                 std::make_unique<BoxReply>(box));
  EXPECT_EQ(box.text(), "invalid argument: push of rank 1 through the connection of rank 0");
}

TEST_F(ShardDeskTest, AssignsAndRefusesToAssign) {
  Start(1);
  const std::vector<float> values = {1, 2, 3, 4};
  Box good;
  BoxReply good_reply(good);
  desk_.Assign({kEpoch, 0}, 0, keys_a_, values, good_reply);
  EXPECT_EQ(good.text(), "ok");
  Box bad;
  BoxReply bad_reply(bad);
  desk_.Assign({kEpoch, 0}, 1, keys_a_, values, bad_reply);
  EXPECT_EQ(bad.status->code(), StatusCode::kInvalidArgument);
  const std::vector<PullKeys> pull = {{0, 2, keys_a_}};
  Box rows;
  BoxReply rows_reply(rows);
  desk_.Pull({kEpoch, 0}, std::span<const PullKeys>(pull), rows_reply);
  EXPECT_EQ(rows.values, values);
}

TEST_F(ShardDeskTest, ABrokenEpochAnswersWhoWaitsAndWhoComesLater) {
  Start(3);
  Box waiting[2];
  Box later;
  PushPull(0, 1, waiting[0]);
  PushPull(2, 1, waiting[1]);
  desk_.Break(kEpoch - 1, Status(StatusCode::kUnavailable, "an old matter"));
  EXPECT_FALSE(waiting[0].status.has_value());
  desk_.Break(kEpoch, Status(StatusCode::kUnavailable, "rank 1 was lost"));
  desk_.Break(kEpoch, Status(StatusCode::kUnavailable, "so was rank 0"));
  PushPull(1, 1, later);
  for (const Box* box : {&waiting[0], &waiting[1], &later}) {
    EXPECT_EQ(box->text(), "unavailable: rank 1 was lost");
  }
  EXPECT_EQ(desk_.counts().tables.size(), kTables.size()) << "memory is kept";
}

TEST_F(ShardDeskTest, ANewEpochStartsAfresh) {
  Start(2);
  Box waiting;
  PushPull(0, 1, waiting);
  desk_.StartEpoch("x", kEpoch + 1, 2);
  EXPECT_EQ(waiting.text(), "unavailable: epoch 5 of job 'x' is over");
  EXPECT_THAT(desk_.counts().tables, IsEmpty());
  Box late;
  PushPull(0, 1, late);
  EXPECT_EQ(late.text(), "unavailable: epoch 5 is over: epoch 6 of job 'x' is running");
  Box no_tables;
  PushPull(0, 1, no_tables, kEpoch + 1);
  EXPECT_EQ(no_tables.status->code(), StatusCode::kOutOfRange);
}

TEST_F(ShardDeskTest, AnEpochThatHasEndedHasNoMemory) {
  Start(1);
  desk_.EndEpoch();
  EXPECT_THAT(desk_.counts().tables, IsEmpty());
  Box late;
  PushPull(0, 1, late);
  EXPECT_EQ(late.text(), "unavailable: epoch 5 of job 'x' is over");
  Box before;
  ShardDesk fresh;
  BoxReply reply(before);
  fresh.CreateTables({1, 0}, kTables, reply);
  EXPECT_EQ(before.status->code(), StatusCode::kUnavailable);
}

TEST_F(ShardDeskTest, AWithdrawnPullIsAnsweredAndItsPushStays) {
  Start(2);
  Box waiting;
  PushPull(0, 1, waiting);
  desk_.Withdraw({kEpoch, 1}, "nothing waits for this one");
  EXPECT_FALSE(waiting.status.has_value());
  desk_.Withdraw({kEpoch, 0}, "push-pull of step 1");
  EXPECT_EQ(waiting.text(), "deadline exceeded: push-pull of step 1: waits for the push of rank 1");
  desk_.Withdraw({kEpoch, 0}, "again");
  Box last;
  PushPull(1, 1, last);
  EXPECT_EQ(last.text(), "ok");
  EXPECT_EQ(Bits(last.values), Bits(Expected(1)));
}

TEST_F(ShardDeskTest, CountsRows) {
  Start(2);
  Box first;
  Box last;
  PushPull(0, 1, first);
  PushPull(1, 1, last);
  const ShardCounts counts = desk_.counts();
  EXPECT_EQ(counts.step, 1U);
  EXPECT_EQ(counts.pushed_rows, 4U);
  EXPECT_EQ(counts.pulled_rows, 6U);
  ASSERT_EQ(counts.tables.size(), 2U);
  EXPECT_EQ(counts.tables[0].name, "a");
  EXPECT_EQ(counts.tables[0].rows, 1U);
  EXPECT_GT(counts.tables[0].bytes, 0U);
}

}  // namespace
}  // namespace dcn::ps
