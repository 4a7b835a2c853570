// What the proxy does to frames, seen from both ends: an observer's pings, which a server answers
// in the order in which they come.

#include "tests/testing/tcp_proxy.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/ps/client/remote_job.h"
#include "tests/ps/server/raw_client.h"

namespace dcn::testing {
namespace {

using namespace std::chrono_literals;
using ps::MessageType;
using ps::testing::RawClient;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

bool IsPing(const ProxiedFrame& frame) {
  return frame.type == static_cast<std::uint16_t>(MessageType::kPing);
}

class TcpProxyTest : public ::testing::Test {
 protected:
  void Connect(FramePlan plan) {
    proxy_ = std::make_unique<TcpProxy>(server_->port(), std::move(plan));
    client_ = std::make_unique<RawClient>(proxy_->port());
  }
  Result<ps::Welcome> SayHello() {
    return client_->SayHello({.role = ps::Role::kObserver, .job = {}, .token = {}}, 0);
  }
  // Connects, says hello and sends so many pings.
  void Ping(int count, FramePlan plan) {
    Connect(std::move(plan));
    ASSERT_TRUE(SayHello().ok());
    for (int i = 0; i < count; ++i) client_->Send(MessageType::kPing);
  }
  std::vector<std::uint64_t> Answers(int count) {
    std::vector<std::uint64_t> ids;
    for (int i = 0; i < count; ++i) ids.push_back(client_->Receive().id);
    return ids;
  }
  [[nodiscard]] std::string ServerStatus() { return *server_->StatusText(); }

  std::unique_ptr<ps::Server> server_ = ps::testing::StartServer();
  std::unique_ptr<TcpProxy> proxy_;
  std::unique_ptr<RawClient> client_;
};

TEST_F(TcpProxyTest, WithoutAPlanEverythingPassesAsItIs) {
  Ping(3, {});
  EXPECT_THAT(Answers(3), ElementsAre(2, 3, 4));
  EXPECT_EQ(proxy_->counts().connections, 1U);
}

TEST_F(TcpProxyTest, AFrameThatIsHeldBackGoesBehindTheNextOne) {
  Ping(4, [](const ProxiedFrame& frame) {
    return FrameFate{.is_held_back = IsPing(frame) && frame.number < 4};
  });
  EXPECT_THAT(Answers(4), ElementsAre(3, 2, 4, 5)) << "frame 3 follows 2, so it is not held back";
  EXPECT_EQ(proxy_->counts().held_back, 1U);
}

TEST_F(TcpProxyTest, AFrameThatIsHeldBackAndAloneGoesAllTheSame) {
  Ping(1, [](const ProxiedFrame& frame) { return FrameFate{.is_held_back = IsPing(frame)}; });
  EXPECT_THAT(Answers(1), ElementsAre(2));
  EXPECT_EQ(proxy_->counts().held_back, 0U);
}

TEST_F(TcpProxyTest, AFrameIsRepeatedAtOnceOrAfterSoManyOthers) {
  Ping(3, [](const ProxiedFrame& frame) {
    FrameFate fate;
    if (IsPing(frame) && frame.number == 2) fate.repeated_after = 2;
    if (IsPing(frame) && frame.number == 3) fate.repeated_after = 0;
    return fate;
  });
  EXPECT_THAT(Answers(5), ElementsAre(2, 3, 3, 4, 2));
  EXPECT_EQ(proxy_->counts().repeated, 2U);
}

TEST_F(TcpProxyTest, AFlipInEveryByteOfAHeaderIsRefusedByTheServer) {
  for (std::size_t byte = 0; byte < 48; ++byte) {
    Ping(1, [byte](const ProxiedFrame& frame) {
      FrameFate fate;
      if (IsPing(frame)) fate.flipped_bit = 8 * byte + byte % 8;
      return fate;
    });
    EXPECT_THROW(Answers(1), std::runtime_error);
    EXPECT_EQ(proxy_->counts().flips_to_server, 1U);
    EXPECT_EQ(proxy_->counts().flips_refused, 1U) << byte;
  }
  EXPECT_THAT(ServerStatus(), HasSubstr(R"("header_checksum":44)"));
  EXPECT_THAT(ServerStatus(), HasSubstr(R"("magic":4)"));
}

TEST_F(TcpProxyTest, AFlipInABodyOfEitherDirectionIsFound) {
  for (const Direction damaged : {Direction::kToServer, Direction::kToClient}) {
    Connect([damaged](const ProxiedFrame& frame) {
      FrameFate fate;
      if (frame.direction == damaged) fate.flipped_bit = 8 * frame.bytes - 1;
      return fate;
    });
    EXPECT_THROW((void)SayHello(), std::runtime_error);
    client_.reset();
    while (proxy_->counts().flips_refused == 0) std::this_thread::sleep_for(1ms);
    EXPECT_EQ(proxy_->counts().flips_to_client, damaged == Direction::kToClient ? 1U : 0U);
  }
  EXPECT_THAT(ServerStatus(), HasSubstr(R"("body_checksum":1)"));
}

TEST_F(TcpProxyTest, ARateSlowsAFrameDown) {
  const auto start = Clock::now();
  Ping(1, [](const ProxiedFrame& frame) {
    return FrameFate{.bytes_per_second = IsPing(frame) ? std::size_t{96} : std::size_t{0}};
  });
  EXPECT_THAT(Answers(1), ElementsAre(2));
  EXPECT_GE(Clock::now() - start, 450ms);
}

TEST_F(TcpProxyTest, ACutInMidFrameClosesBothEnds) {
  Ping(1, [](const ProxiedFrame& frame) {
    FrameFate fate;
    if (IsPing(frame)) fate.bytes_left = 47;
    return fate;
  });
  EXPECT_THROW(Answers(1), std::runtime_error);
  EXPECT_EQ(proxy_->counts().cuts, 1U);
  EXPECT_EQ(proxy_->counts().flips_refused, 0U);
}

}  // namespace
}  // namespace dcn::testing
