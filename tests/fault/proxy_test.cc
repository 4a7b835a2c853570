// Runs of real workers and servers over a network that is slow, splits, cuts, repeats, reorders and
// damages what passes: the answer is that of an undisturbed run, bit for bit. proxied_run.h tells
// how to repeat and to lengthen them.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/net/frame.h"
#include "ps/message.h"
#include "tests/fault/proxied_run.h"

namespace dcn {
namespace {

using namespace std::chrono_literals;
using ps::MessageType;
using testing::Direction;
using testing::Draw;
using testing::FrameFate;
using ::testing::IsEmpty;
using testing::ProxiedFrame;
using testing::ProxyCounts;
using testing::RunEnd;
using testing::RunSize;
using Clock = std::chrono::steady_clock;
using ProxyFault = testing::ProxiedRun;

bool Is(const ProxiedFrame& frame, MessageType type) {
  return frame.type == static_cast<std::uint16_t>(type);
}
bool IsHandshake(const ProxiedFrame& frame) {
  return Is(frame, MessageType::kHello) || Is(frame, MessageType::kWelcome);
}
bool IsHeartbeat(const ProxiedFrame& frame) {
  return Is(frame, MessageType::kPing) || Is(frame, MessageType::kPong);
}

// One server is behind a network with a delay and a rate. Pushes and answers stop for 3.5 s, or
// trickle for longer than a silent peer would live.
class SlowNetwork {
 public:
  FrameFate Decide(const ProxiedFrame& frame) {
    FrameFate fate;
    fate.delay = 10ms;
    fate.bytes_per_second = 4'000'000;
    if (IsHandshake(frame) || IsHeartbeat(frame)) return fate;
    const bool is_request = frame.direction == Direction::kToServer;
    int& under_way = under_way_[frame.connection];
    under_way += is_request ? 1 : -1;
    most_under_way_ = std::max(most_under_way_, under_way);
    if (!Is(frame, MessageType::kPushPull) && !Is(frame, MessageType::kRows)) return fate;
    const int number = ++(is_request ? pushes_ : answers_);
    if (number == (is_request ? 20 : 60)) fate.delay = 3500ms;
    if (number == (is_request ? 100 : 140)) fate.bytes_per_second = frame.bytes * 2 / 13;
    return fate;
  }
  // Requests of one connection that were not answered yet.
  [[nodiscard]] int most_under_way() const { return most_under_way_; }

 private:
  std::map<std::uint64_t, int> under_way_;
  int most_under_way_ = 0;
  int pushes_ = 0;
  int answers_ = 0;
};

TEST_F(ProxyFault, ASlowServerIsWaitedForWithoutQueuesThatGrow) {
  const RunSize size = {.steps = 60 * length_, .batch_size = 1024};
  StartServers();
  const RunEnd direct = RunDirectly(size);
  SlowNetwork network;
  const auto start = Clock::now();
  const RunEnd slow = RunThrough(size, [&network](std::size_t server, const ProxiedFrame& frame) {
    return server == 0 ? network.Decide(frame) : FrameFate();
  });
  EXPECT_GT(Clock::now() - start, 20s) << "two stops, two trickles";
  EXPECT_NE(slow.digest, "");
  EXPECT_EQ(slow.digest, direct.digest);
  EXPECT_EQ(slow.digest, Oracle(size));
  EXPECT_EQ(Counts().connections, kServers * (kRanks + 1)) << "each rank once, one question";
  EXPECT_THAT(Refused(), IsEmpty());
  proxies_.clear();
  EXPECT_LE(network.most_under_way(), kShards);
  // Less than a tenth of what has passed.
  constexpr std::size_t kMegabyte = 1'000'000;
  fmt::print("most memory: workers {} -> {} kB, servers {} -> {} kB\n", direct.worker_memory / 1000,
             slow.worker_memory / 1000, direct.server_memory / 1000, slow.server_memory / 1000);
  EXPECT_LE(slow.worker_memory, direct.worker_memory + 2 * kMegabyte);
  EXPECT_LE(slow.server_memory, direct.server_memory + 2 * kMegabyte);
}

TEST_F(ProxyFault, AStreamOfSingleBytesGivesTheSameParameters) {
  const RunSize size = {.steps = 10 * length_, .batch_size = 256};
  const RunEnd end = RunThrough(size, [](std::size_t /*server*/, const ProxiedFrame& /*frame*/) {
    return FrameFate{.piece_bytes = 1};
  });
  EXPECT_NE(end.digest, "");
  EXPECT_EQ(end.digest, Oracle(size));
  EXPECT_EQ(Counts().connections, kServers * (kRanks + 1));
  EXPECT_THAT(Refused(), IsEmpty());
}

TEST_F(ProxyFault, CutsInMidFrameGiveTheSameParameters) {
  const RunSize size = {.steps = 60 * length_, .batch_size = 512};
  const RunEnd end = RunThrough(size, [this](std::size_t server, const ProxiedFrame& frame) {
    Draw draw(seed_, server, frame);
    FrameFate fate;
    if (draw.OneIn(IsHandshake(frame) ? 20 : 6)) fate.bytes_left = draw.Below(frame.bytes);
    return fate;
  });
  EXPECT_NE(end.digest, "");
  EXPECT_EQ(end.digest, Oracle(size));
  const ProxyCounts counts = Counts();
  fmt::print("{} cuts, {} connections\n", counts.cuts, counts.connections);
  EXPECT_GE(counts.cuts, 60U);
  EXPECT_GE(counts.connections, counts.cuts);
  EXPECT_THAT(Refused(), IsEmpty());
}

TEST_F(ProxyFault, RepeatedAndReorderedMessagesGiveTheSameParameters) {
  const RunSize size = {.steps = 60 * length_, .batch_size = 512};
  const RunEnd end = RunThrough(size, [this](std::size_t server, const ProxiedFrame& frame) {
    Draw draw(seed_, server, frame);
    FrameFate fate;
    if (IsHandshake(frame)) return fate;
    fate.is_held_back = draw.OneIn(3);
    if (draw.OneIn(3)) fate.repeated_after = draw.Below(6);
    return fate;
  });
  EXPECT_NE(end.digest, "");
  EXPECT_EQ(end.digest, Oracle(size));
  const ProxyCounts counts = Counts();
  fmt::print("{} messages out of order, {} repeated\n", counts.held_back, counts.repeated);
  EXPECT_GE(counts.held_back, 60U);
  EXPECT_GE(counts.repeated, 120U);
  EXPECT_EQ(counts.connections, kServers * (kRanks + 1)) << "none of it ends a connection";
  EXPECT_THAT(Refused(), IsEmpty());
}

TEST_F(ProxyFault, EveryFlippedBitIsFoundByAChecksum) {
  const RunSize size = {.steps = 40 * length_, .batch_size = 512};
  // A heartbeat may be on its way when a connection ends, and is then read by nobody.
  const RunEnd end = RunThrough(size, [this](std::size_t server, const ProxiedFrame& frame) {
    Draw draw(seed_, server, frame);
    FrameFate fate;
    if (IsHeartbeat(frame) || !draw.OneIn(IsHandshake(frame) ? 16 : 3)) return fate;
    fate.flipped_bit = draw.Below(8 * (draw.OneIn(2) ? net::kFrameHeaderBytes : frame.bytes));
    return fate;
  });
  EXPECT_NE(end.digest, "");
  EXPECT_EQ(end.digest, Oracle(size));
  const ProxyCounts counts = Counts();
  auto refused = Refused();
  const std::uint64_t in_header = refused["magic"] + refused["header_checksum"];
  const std::uint64_t in_body = refused["body_checksum"];
  fmt::print(
      "{} bits flipped on the way to servers, {} on the way back; servers refused {} "
      "headers and {} bodies\n",
      counts.flips_to_server, counts.flips_to_client, in_header, in_body);
  EXPECT_GE(counts.flips_to_server, 100U);
  EXPECT_GE(counts.flips_to_client, 100U);
  EXPECT_EQ(counts.flips_refused, counts.flips_to_server + counts.flips_to_client);
  EXPECT_EQ(in_header + in_body, counts.flips_to_server);
  EXPECT_GT(in_body, 0U);
  EXPECT_GT(in_header, 0U);
  for (const char* reason : {"magic", "header_checksum", "body_checksum"}) refused.erase(reason);
  EXPECT_THAT(refused, IsEmpty()) << "for another reason";
}

}  // namespace
}  // namespace dcn
