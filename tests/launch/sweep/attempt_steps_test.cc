#include "launch/sweep/attempt_steps.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "tests/testing/temporary_folder.h"

namespace dcn::sweep {
namespace {

using Steps = AttemptSteps;
constexpr std::nullopt_t kUnknown = std::nullopt;

TEST(AttemptStepsTest, KnowsNothingWithoutSteps) {
  for (const char* const log :
       {"", "\n", "$ dcn_worker --max-steps 3\n", "step\nstep \nstep x/3\nresumed from step \n",
        "error: request for step 7 was lost\n", "step 99999999999999999999/3\n"}) {
    EXPECT_EQ(ParseAttemptSteps(log), Steps{}) << log;
  }
}

TEST(AttemptStepsTest, TakesTheHighestStepOfTheProgress) {
  EXPECT_EQ(ParseAttemptSteps("$ w\nepoch 1  step 9/50  loss 1\nepoch 1  step 12/50  loss 1\n"),
            (Steps{0, 12}));
  EXPECT_EQ(ParseAttemptSteps("epoch 1  step 9/50 \repoch 1  step 10/50"), (Steps{0, 10}));
}

TEST(AttemptStepsTest, TakesStepsOfCheckpoints) {
  EXPECT_EQ(ParseAttemptSteps("[info] checkpoint of step 60 written\nerror: step 77 lost\n"),
            (Steps{0, 60}));
}

TEST(AttemptStepsTest, KnowsWhereAnAttemptWentOn) {
  EXPECT_EQ(ParseAttemptSteps("[info] resumed from step 40 of checkpoint out/step 3\n"),
            (Steps{40, 40}));
  EXPECT_EQ(ParseAttemptSteps("resumed from step 40 of checkpoint x\nepoch 1  step 44/50\n"),
            (Steps{40, 44}));
}

TEST(AttemptStepsTest, LooksAtTheLastAttemptOnly) {
  EXPECT_EQ(ParseAttemptSteps("$ w\nepoch 1  step 44/50\n$ w\nresumed from step 40 of checkpoint x"
                              "\nepoch 1  step 43/50\n"),
            (Steps{40, 43}));
  EXPECT_EQ(ParseAttemptSteps("$ w\nepoch 1  step 44/50\n$ w\n"), Steps{});
}

TEST(AttemptStepsTest, LooksBelowTheLastRestartByTheScript) {
  const std::string lost =
      "workers ended with exit code 4; starting them again in 0.5 s (1 of 3)\n";
  EXPECT_EQ(ParseAttemptSteps("$ t\nepoch 1  step 44/50\n" + lost), Steps{});
  EXPECT_EQ(ParseAttemptSteps("$ t\nepoch 1  step 44/50\n" + lost +
                              "resumed from step 40 of checkpoint x\nepoch 1  step 43/50\n"),
            (Steps{40, 43}));
  EXPECT_EQ(ParseAttemptSteps("$ t\nepoch 1  step 44/50\n" + lost + "$ t\nstep 3/50\n"),
            (Steps{0, 3}));
}

TEST(AttemptStepsTest, ReadsAFileAndDoesWithoutOne) {
  const testing::TemporaryFolder folder;
  EXPECT_EQ(ReadAttemptSteps(folder.path() / "absent"), Steps{});
  testing::WriteText(folder.path() / "log", "$ w\nstep 3/4\n");
  EXPECT_EQ(ReadAttemptSteps(folder.path() / "log"), (Steps{0, 3}));
}

constexpr AttemptSteps Exact(std::uint64_t resumed_from, std::uint64_t last) {
  return {.resumed_from = resumed_from, .last = last, .is_exact = true};
}
constexpr AttemptSteps kNoStep{.is_exact = true};

RepeatedSteps Exactly(std::uint64_t count) { return {count, true}; }
RepeatedSteps AtLeast(std::uint64_t count) { return {count, false}; }

TEST(StepAccountTest, CountsWhatWasTakenBefore) {
  StepAccount account;
  EXPECT_EQ(account.Take(Exact(0, 57)), Exactly(0));  // nothing was before it
  EXPECT_EQ(account.Take(Exact(40, 45)), Exactly(17));
  EXPECT_EQ(account.Take(Exact(40, 90)), Exactly(5));
  EXPECT_EQ(account.Take(Exact(90, 95)), Exactly(0));
  EXPECT_EQ(account.Take(Exact(0, 20)), Exactly(95));
}

TEST(StepAccountTest, RemembersOverAnAttemptThatTookNoStep) {
  StepAccount account;
  EXPECT_EQ(account.Take(kNoStep), kUnknown);
  EXPECT_EQ(account.Take(Exact(0, 57)), Exactly(0));
  EXPECT_EQ(account.Take(kNoStep), kUnknown);
  EXPECT_EQ(account.Take(Exact(40, 40)), Exactly(17));
  EXPECT_EQ(account.Take(Exact(40, 60)), Exactly(0));
}

TEST(StepAccountTest, DoesNotTakeALowerBoundForExact) {
  StepAccount account;
  EXPECT_EQ(account.Take({.resumed_from = 0, .last = 50}), Exactly(0));
  EXPECT_EQ(account.Take(Exact(40, 45)), AtLeast(10));
  EXPECT_EQ(account.Take(Exact(40, 90)), Exactly(5));
  // One of which nothing is known may have come further than the one before.
  EXPECT_EQ(account.Take({}), kUnknown);
  EXPECT_EQ(account.Take(Exact(80, 95)), AtLeast(10));
  EXPECT_EQ(account.Take(Exact(80, 95)), Exactly(15));
}

TEST(StepAccountTest, TakesNoStepTwiceWhereMoreWasDoneThanTheLogShowed) {
  StepAccount account;
  EXPECT_EQ(account.Take({.resumed_from = 0, .last = 50}), Exactly(0));
  EXPECT_EQ(account.Take(Exact(60, 70)), AtLeast(0));
}

TEST(StepAccountTest, GoesOnFromWhatTheJournalSays) {
  StepAccount account;
  account.Remember(57, true);
  EXPECT_EQ(account.Take(Exact(40, 45)), Exactly(17));
  account.Remember(57, false);
  EXPECT_EQ(account.Take(Exact(40, 45)), AtLeast(17));
}

}  // namespace
}  // namespace dcn::sweep
