// Connections, the listener and the blocking connection against one another, over 127.0.0.1.

#include "common/net/connection.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>
#include <variant>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/digest.h"
#include "common/named_thread.h"
#include "common/net/blocking_connection.h"
#include "common/net/listener.h"
#include "common/net/task_scope.h"

namespace dcn::net {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxBody = std::size_t{4} << 20;

// What one call below was given at most.
std::atomic<std::size_t> longest_send = 0;

}  // namespace

void NoteSend(const msghdr& message) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < message.msg_iovlen; ++i) bytes += message.msg_iov[i].iov_len;
  longest_send = std::max(longest_send.load(), bytes);
}

}  // namespace dcn::net

// In place of the C library's, which Asio calls.
extern "C" ssize_t sendmsg(int socket, const msghdr* message, int flags) {
  dcn::net::NoteSend(*message);
  return ::syscall(SYS_sendmsg, socket, message, flags);
}

namespace dcn::net {
namespace {

// One connection under test, served by a loop that the test drives, and a peer that blocks.
class ConnectionTest : public ::testing::Test {
 protected:
  ConnectionTest() {
    auto listener = Listener::Open(context_.get_executor(), {"127.0.0.1", 0});
    if (!listener.ok()) throw std::runtime_error(listener.status().ToString());
    listener_ = std::make_unique<Listener>(std::move(*listener));
    scope_.Start("accept", listener_->AsyncAccept([this](asio::ip::tcp::socket socket) {
      connection_ = std::make_unique<Connection>(std::move(socket), max_queued_bytes_);
    }));
    auto peer = BlockingConnection::Connect(listener_->address(), Clock::now() + 10s);
    if (!peer.ok()) throw std::runtime_error(peer.status().ToString());
    peer_ = std::make_unique<BlockingConnection>(std::move(*peer));
    RunUntil([this] { return connection_ != nullptr; });
  }
  ~ConnectionTest() override {
    listener_->Close();
    connection_->Close();
    RunUntil([this] { return scope_.size() == 0; });
  }

  // Runs the loop until the condition holds.
  template <typename Condition>
  void RunUntil(Condition condition) {
    const auto deadline = Clock::now() + 10s;
    while (!condition()) {
      if (Clock::now() > deadline) throw std::runtime_error("what was awaited did not happen");
      context_.run_one_for(100ms);
    }
  }

  asio::awaitable<void> AsyncReadOne(std::size_t max_body_bytes) {
    result_ = co_await connection_->AsyncRead(max_body_bytes, body_);
  }
  asio::awaitable<void> AsyncWriteAll() { co_await connection_->AsyncWrite(); }

  ReadResult Read(std::size_t max_body_bytes = kMaxBody) {
    result_.reset();
    scope_.Start("read", AsyncReadOne(max_body_bytes));
    RunUntil([this] { return result_.has_value(); });
    return *result_;
  }
  void StartWriting() { scope_.Start("write", AsyncWriteAll()); }

  static FrameBody Bytes(std::size_t count) {
    FrameBody body(count);
    for (std::size_t i = 0; i < count; ++i) body[i] = static_cast<std::byte>(i * 7);
    return body;
  }
  static OutgoingFrame Frame(std::uint64_t id, std::size_t count) {
    return MakeOutgoingFrame({.type = 3, .request_id = id},
                             std::make_shared<const FrameBody>(Bytes(count)));
  }

  const std::size_t max_queued_bytes_ = std::size_t{16} << 20;
  asio::io_context context_;
  TaskScope scope_{context_.get_executor(), [](std::string_view task, std::string_view what) {
                     ADD_FAILURE() << task << ": " << what;
                   }};
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<BlockingConnection> peer_;
  std::unique_ptr<Connection> connection_;
  std::optional<ReadResult> result_;
  FrameBody body_;
};

TEST_F(ConnectionTest, ReadsFramesOfAnyLengthUpToTheLimit) {
  std::uint64_t received = 0;
  // Around the size at which a body's memory starts to grow with its bytes, too.
  for (const std::size_t count : {0UL, 1UL, 1000UL, (1UL << 20) - 1, (1UL << 20) + 1}) {
    const FrameBody sent = Bytes(count);
    // A blocking peer cannot send more than the system keeps for it: send while the loop reads.
    result_.reset();
    scope_.Start("read", AsyncReadOne(kMaxBody));
    const auto header = EncodeFrameHeader({.type = 5, .request_id = count}, sent);
    ASSERT_TRUE(peer_->SendBytes(header, Clock::now() + 10s).ok());
    for (std::size_t at = 0; at < count; at += 10'000) {
      const std::span<const std::byte> rest = std::span(sent).subspan(at);
      ASSERT_TRUE(
          peer_->SendBytes(rest.first(std::min(rest.size(), 10'000UL)), Clock::now() + 10s).ok());
      context_.poll();
    }
    RunUntil([this] { return result_.has_value(); });
    const auto* read = std::get_if<FrameHeader>(&*result_);
    ASSERT_NE(read, nullptr) << count;
    EXPECT_EQ(read->request_id, count);
    EXPECT_EQ(body_, sent);
    received += kFrameHeaderBytes + count;
    EXPECT_EQ(connection_->bytes_received(), received);
  }
}

TEST_F(ConnectionTest, ReadsFramesThatComeInSingleBytes) {
  const FrameBody sent = Bytes(20);
  const auto header = EncodeFrameHeader({.type = 5, .request_id = 9}, sent);
  scope_.Start("read", AsyncReadOne(kMaxBody));
  for (const std::span<const std::byte> part :
       {std::span<const std::byte>(header), std::span<const std::byte>(sent)}) {
    for (const std::byte& byte : part) {
      ASSERT_TRUE(peer_->SendBytes(std::span(&byte, 1), Clock::now() + 10s).ok());
      context_.poll();
    }
  }
  RunUntil([this] { return result_.has_value(); });
  ASSERT_TRUE(std::holds_alternative<FrameHeader>(*result_));
  EXPECT_EQ(body_, sent);
}

TEST_F(ConnectionTest, CountsThePartsOfAFrameAsTheyCome) {
  const auto header = EncodeFrameHeader({.type = 5}, Bytes(100));
  const Clock::time_point before = connection_->received_at();
  scope_.Start("read", AsyncReadOne(kMaxBody));
  ASSERT_TRUE(peer_->SendBytes(std::span(header).first(10), Clock::now() + 10s).ok());
  RunUntil([this] { return connection_->bytes_received() == 10; });
  const Clock::time_point first = connection_->received_at();
  EXPECT_GT(first, before);
  ASSERT_TRUE(peer_->SendBytes(std::span(header).subspan(10), Clock::now() + 10s).ok());
  ASSERT_TRUE(peer_->SendBytes(Bytes(7), Clock::now() + 10s).ok());
  RunUntil([&] { return connection_->bytes_received() == header.size() + 7; });
  EXPECT_GT(connection_->received_at(), first);
  EXPECT_FALSE(result_.has_value()) << "the frame is not whole";
}

TEST_F(ConnectionTest, TakesNoMemoryForABodyAboveTheLimit) {
  ASSERT_TRUE(peer_->SendFrame({.type = 5}, Bytes(101), Clock::now() + 10s).ok());
  const ReadResult result = Read(100);
  EXPECT_EQ(std::get<FrameFault>(result), FrameFault::kBodyTooLong);
  EXPECT_EQ(body_.capacity(), 0U);
}

TEST_F(ConnectionTest, MemoryGrowsOnlyAsTheBodyArrives) {
  // A header that claims 4 GB, and nothing behind it.
  FrameHeader claim{.type = 5};
  auto bytes = EncodeFrameHeader(claim, Bytes(1));
  const std::uint32_t huge = 0xfffffff0;
  std::memcpy(bytes.data() + 12, &huge, sizeof(huge));
  const std::uint64_t checksum = Checksum64(std::span<const std::byte>(bytes).first(40));
  std::memcpy(bytes.data() + 40, &checksum, sizeof(checksum));
  ASSERT_TRUE(peer_->SendBytes(bytes, Clock::now() + 10s).ok());
  ASSERT_TRUE(peer_->SendBytes(Bytes(5000), Clock::now() + 10s).ok());
  peer_.reset();
  const ReadResult result = Read(0xffffffff);
  EXPECT_EQ(std::get<Status>(result).code(), StatusCode::kUnavailable);
  EXPECT_LE(body_.capacity(), std::size_t{1} << 20);
}

TEST_F(ConnectionTest, TellsAClosedPeer) {
  peer_.reset();
  EXPECT_EQ(std::get<Status>(Read()).ToString(), "unavailable: closed by the peer");
}

TEST_F(ConnectionTest, TellsAPeerThatClosesInMidFrame) {
  const auto header = EncodeFrameHeader({.type = 5}, Bytes(10));
  ASSERT_TRUE(peer_->SendBytes(header, Clock::now() + 10s).ok());
  peer_.reset();
  EXPECT_EQ(std::get<Status>(Read()).code(), StatusCode::kUnavailable);
}

TEST_F(ConnectionTest, CloseEndsAReadThatWaits) {
  scope_.Start("read", AsyncReadOne(kMaxBody));
  context_.poll();
  EXPECT_FALSE(result_.has_value());
  connection_->Close();
  connection_->Close();
  RunUntil([this] { return result_.has_value(); });
  EXPECT_EQ(std::get<Status>(*result_).code(), StatusCode::kUnavailable);
}

TEST_F(ConnectionTest, WritesInOrderAndFinishes) {
  StartWriting();
  context_.poll();  // it waits for work
  ASSERT_TRUE(connection_->Send(Frame(1, 10)));
  ASSERT_TRUE(connection_->Send(MakeOutgoingFrame({.type = 4, .request_id = 2}, nullptr)));
  ASSERT_TRUE(connection_->Send(Frame(3, 3000)));
  connection_->FinishWriting();
  EXPECT_FALSE(connection_->Send(Frame(4, 1)));
  RunUntil([this] { return !connection_->is_open(); });
  for (const auto& [id, count] : {std::pair{1UL, 10UL}, {2UL, 0UL}, {3UL, 3000UL}}) {
    const auto frame = peer_->ReceiveFrame(kMaxBody, Clock::now() + 10s);
    ASSERT_TRUE(frame.ok()) << frame.status().ToString();
    EXPECT_EQ(frame->header.request_id, id);
    EXPECT_EQ(frame->body, Bytes(count));
  }
  EXPECT_EQ(peer_->ReceiveFrame(kMaxBody, Clock::now() + 10s).status().code(),
            StatusCode::kUnavailable);
  EXPECT_EQ(connection_->bytes_sent(), 3 * kFrameHeaderBytes + 3010);
  EXPECT_GT(connection_->sent_at(), connection_->received_at());
  EXPECT_EQ(connection_->queued_bytes(), 0U);
}

TEST_F(ConnectionTest, WritesFramesWholeInPiecesOfEitherLength) {
  constexpr std::size_t kPiece = 64UL << 10;
  constexpr std::size_t kLongPiece = 1UL << 20;
  StartWriting();
  std::uint64_t id = 0;
  for (const bool are_long : {false, true}) {
    if (are_long) connection_->WriteLongPieces();
    longest_send = 0;
    // Around both lengths, and far more than the system keeps for a peer.
    for (const std::size_t count : {(1UL << 16) - kFrameHeaderBytes, (1UL << 16) + 1,
                                    (1UL << 20) - kFrameHeaderBytes, (1UL << 20) + 1, 9UL << 20}) {
      ASSERT_TRUE(connection_->Send(Frame(++id, count)));
      std::optional<Result<BlockingConnection::Frame>> frame;
      std::atomic<bool> is_there = false;
      const NamedThread peer(
          "peer",
          [&] {
            frame = peer_->ReceiveFrame(10UL << 20, Clock::now() + 10s);
            is_there = true;
          },
          [](std::string_view what) { ADD_FAILURE() << what; });
      RunUntil([&] { return is_there.load(); });
      ASSERT_TRUE(is_there);
      ASSERT_TRUE(frame->ok()) << frame->status().ToString();
      EXPECT_EQ((*frame)->header.request_id, id);
      EXPECT_TRUE((*frame)->body == Bytes(count)) << count;
    }
    EXPECT_EQ(longest_send.load(), are_long ? kLongPiece : kPiece);
  }
}

TEST_F(ConnectionTest, ItsQueueHasABound) {
  // Nobody reads: the system takes some bytes, the queue the others, and then no more.
  StartWriting();
  constexpr std::size_t kPart = std::size_t{1} << 20;
  std::size_t taken = 0;
  while (taken < 1000 && connection_->Send(Frame(taken, kPart))) {
    ++taken;
    context_.poll();
    EXPECT_LE(connection_->queued_bytes(), max_queued_bytes_);
  }
  EXPECT_GE(taken, 15U);
  EXPECT_LT(taken, 1000U);
  EXPECT_FALSE(connection_->Send(Frame(0, kPart)));
}

TEST_F(ConnectionTest, AnEmptyQueueTakesAnyFrame) {
  EXPECT_TRUE(connection_->Send(Frame(1, max_queued_bytes_ + 1)));
  EXPECT_FALSE(connection_->Send(Frame(2, 1)));
}

TEST_F(ConnectionTest, WritingToAPeerThatIsGoneClosesIt) {
  StartWriting();
  peer_.reset();
  // The first bytes may still go out; the answer to them is that nobody is there.
  RunUntil([this] {
    (void)connection_->Send(Frame(1, 100'000));
    return !connection_->is_open();
  });
}

TEST_F(ConnectionTest, TheListenerNamesAPortInUseAndAnUnknownHost) {
  const auto second = Listener::Open(context_.get_executor(), listener_->address());
  EXPECT_EQ(second.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(second.status().message(), HasSubstr(listener_->address().ToString()));
  const auto elsewhere = Listener::Open(context_.get_executor(), {"192.0.2.1", 0});
  EXPECT_EQ(elsewhere.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(elsewhere.status().message(), HasSubstr("no address of this machine"));
}

TEST_F(ConnectionTest, KnowsLoopbackAddresses) {
  EXPECT_TRUE(*IsLoopback({"127.0.0.1", 1}));
  EXPECT_TRUE(*IsLoopback({"127.9.9.9", 1}));
  EXPECT_TRUE(*IsLoopback({"::1", 1}));
  EXPECT_FALSE(*IsLoopback({"0.0.0.0", 1}));
  EXPECT_FALSE(*IsLoopback({"::", 1}));
  EXPECT_FALSE(*IsLoopback({"192.0.2.1", 1}));
}

TEST_F(ConnectionTest, ABlockingConnectionNamesAnAddressWhereNobodyListens) {
  const Address address = listener_->address();
  listener_->Close();
  RunUntil([this] { return scope_.size() == 0; });
  const auto connection = BlockingConnection::Connect(address, Clock::now() + 10s);
  EXPECT_EQ(connection.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(connection.status().message(), HasSubstr(address.ToString()));
}

TEST_F(ConnectionTest, ABlockingConnectionWaitsNoLongerThanItsDeadline) {
  const auto frame = peer_->ReceiveFrame(kMaxBody, Clock::now() + 5ms);
  EXPECT_EQ(frame.status().code(), StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace dcn::net
