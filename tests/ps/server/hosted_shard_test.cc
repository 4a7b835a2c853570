#include "ps/server/hosted_shard.h"

#include <chrono>
#include <future>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn::ps {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

void NoException(std::string_view what) { ADD_FAILURE() << what; }

TEST(HostedShardTest, NamesAShardWhoseThreadIsStuckAndGoesOn) {
  std::promise<void> go;
  ShardThread thread(0, NoException);
  thread.Post([go = go.get_future().share()](ShardDesk& /*desk*/) { go.wait(); });
  HostedShard shard(thread, 3, {.epoch = 1, .rank = 0}, 20ms, 30ms);
  shard.StartPull({});
  const Status status = shard.Finish();
  EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(status.message(), HasSubstr("pull, shard 3 of this process: no answer within 20 ms, "
                                          "nor 30 ms later: the shard's thread is stuck"));

  // The first request gets its answer now, of an epoch that has not begun: kUnavailable. It is none
  // to the second.
  thread.Post([](ShardDesk& desk) { desk.StartEpoch("job", 1, 1); });
  shard.StartPull({});
  go.set_value();
  EXPECT_NE(shard.Finish().code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace dcn::ps
