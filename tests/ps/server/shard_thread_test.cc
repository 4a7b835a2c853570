#include "ps/server/shard_thread.h"

#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/floating_point.h"
#include "tests/ps/fading_rows.h"
#include "tests/ps/float_bits.h"
#include "tests/ps/push_parts.h"
#include "tests/ps/slow_table.h"

namespace dcn::ps {
namespace {

constexpr std::chrono::seconds kDeadline{10};

void NoException(std::string_view what) { ADD_FAILURE() << what; }

TEST(ShardThreadTest, DoesWhatIsPostedInOrderBeforeItEnds) {
  std::vector<int> done;
  {
    ShardThread thread(0, NoException);
    for (int i = 0; i < 1000; ++i) {
      thread.Post([&done, i](ShardDesk& /*desk*/) { done.push_back(i); });
    }
  }
  ASSERT_EQ(done.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(done[static_cast<std::size_t>(i)], i);
}

TEST(ShardThreadTest, TakesWorkThatCanOnlyBeMoved) {
  std::promise<int> answer;
  std::future<int> future = answer.get_future();
  ShardThread thread(0, NoException);
  thread.Post([value = std::make_unique<int>(7), answer = std::move(answer)](
                  ShardDesk& /*desk*/) mutable { answer.set_value(*value); });
  ASSERT_EQ(future.wait_for(kDeadline), std::future_status::ready);
  EXPECT_EQ(future.get(), 7);
}

TEST(ShardThreadTest, AfterAnExceptionWorkIsDestroyedAndNotDone) {
  std::promise<std::string> reported;
  std::future<std::string> report = reported.get_future();
  ShardThread thread(0,
                     [&reported](std::string_view what) { reported.set_value(std::string(what)); });
  // Posted before the exception, after it, and much later: none is done, all are destroyed.
  auto token = std::make_shared<int>();
  const std::weak_ptr<int> alive = token;
  std::promise<void> go;
  thread.Post([go = go.get_future().share()](ShardDesk& /*desk*/) {
    go.wait();
    throw std::runtime_error("a bug");
  });
  thread.Post([token](ShardDesk& /*desk*/) { ADD_FAILURE() << "was done"; });
  go.set_value();
  ASSERT_EQ(report.wait_for(kDeadline), std::future_status::ready);
  EXPECT_EQ(report.get(), "a bug");
  thread.Post([token](ShardDesk& /*desk*/) { ADD_FAILURE() << "was done"; });
  token.reset();
  EXPECT_TRUE(alive.expired());
}

#if defined(__SSE2__)
// Takes rows to where the asker wants them.
class OkReply final : public Reply {
 public:
  std::span<float> MakeRoom(Step /*step*/, StepFlags /*flags*/, std::size_t /*count*/) override {
    return {};
  }
  void SetFlags(StepFlags /*flags*/) override {}
  void SetReport(const SnapshotReport& /*report*/) override {}
  void Send(const Status& status) override { EXPECT_TRUE(status.ok()) << status.ToString(); }
};

// Starts a job of one rank, makes the steps, pulls all rows; nothing else reads them before.
std::vector<float> FadeOn(ShardThread& thread, const testing::FadingRows& rows) {
  thread.Post([&](ShardDesk& desk) {
    OkReply reply;
    desk.StartEpoch("fading", 1, 1);
    desk.CreateTables({1, 0}, std::span(&rows.definition, 1), reply);
    desk.Assign({1, 0}, 0, rows.keys, rows.weights, reply);
  });
  for (Step step = 1; step <= testing::FadingRows::kSteps; ++step) {
    thread.Post([&rows, step](ShardDesk& desk) {
      testing::PushParts part(0, step, testing::FadingRows::kLearningRate, {{0, 0}});
      for (const Key key : rows.keys) {
        if (step == 1) part.Add(0, key, {0, 0}, rows.GradientOf(key));
      }
      desk.PushPull({1, 0}, part.Request(), std::span<const PullKeys>(),
                    std::make_unique<OkReply>());
    });
  }
  std::vector<float> values(rows.weights.size());
  std::promise<void> done;
  thread.Post([&](ShardDesk& desk) {
    OkReply reply;
    const RowsToPull wanted{.table = 0, .keys = rows.keys, .values = values};
    desk.Pull({1, 0}, std::span(&wanted, 1), reply);
    done.set_value();
  });
  EXPECT_EQ(done.get_future().wait_for(kDeadline), std::future_status::ready);
  return values;
}

TEST(ShardThreadTest, FlushesDenormalsWhereTheThreadThatMadeItDoesNot) {
  const testing::DenormalsKept denormals;
  const testing::FadingRows rows;
  testing::SlowTable kept = rows.Sweep();
  std::vector<float> values;
  {
    ShardThread thread(0, NoException);
    values = FadeOn(thread, rows);
  }
  FlushDenormalsToZero();
  testing::SlowTable swept = rows.Sweep();
  EXPECT_EQ(testing::CountDenormals(values), 0U);
  bool is_seen = false;
  for (const Key key : rows.keys) {
    const auto row = std::span(values).subspan(key * testing::FadingRows::kDimension,
                                               testing::FadingRows::kDimension);
    EXPECT_EQ(testing::Bits(row), testing::Bits(swept.At(key).w)) << "key " << key;
    is_seen = is_seen || testing::Bits(swept.At(key).w) != testing::Bits(kept.At(key).w);
  }
  EXPECT_TRUE(is_seen) << "weights are the same with and without denormals";
}
#endif

}  // namespace
}  // namespace dcn::ps
