#include "tests/testing/tcp_proxy_link.h"

#include <algorithm>
#include <utility>

#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "common/bytes.h"
#include "common/check.h"
#include "common/net/frame.h"

namespace dcn::testing {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;

// Pieces a second where there is a rate.
constexpr std::size_t kPieces = 100;

// The length of the frame that starts with this header, header included.
std::size_t FrameBytes(std::span<const std::byte> header) {
  return net::kFrameHeaderBytes + LoadLittleEndian<std::uint32_t>(header.data() + 12);
}

}  // namespace

ProxyLink::ProxyLink(std::uint64_t number, tcp::socket accepted, const FramePlan& plan,
                     ProxyCounts& counts)
    : number_(number),
      plan_(plan),
      counts_(counts),
      client_(std::move(accepted)),
      server_(client_.get_executor()),
      lanes_{Lane{.timer = asio::steady_timer(client_.get_executor())},
             Lane{.timer = asio::steady_timer(client_.get_executor())}} {}

tcp::socket& ProxyLink::From(Direction direction) {
  return direction == Direction::kToServer ? client_ : server_;
}

tcp::socket& ProxyLink::To(Direction direction) {
  return direction == Direction::kToServer ? server_ : client_;
}

ProxyLink::Lane& ProxyLink::LaneOf(Direction direction) {
  return lanes_[direction == Direction::kToServer ? 0 : 1];
}

asio::awaitable<bool> ProxyLink::AsyncConnect(std::uint16_t port) {
  boost::system::error_code error;
  const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
  co_await server_.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  if (error || is_closed_) {
    Close();
    co_return false;
  }
  client_.set_option(tcp::no_delay(true), error);
  server_.set_option(tcp::no_delay(true), error);
  co_return true;
}

asio::awaitable<void> ProxyLink::AsyncPass(std::shared_ptr<ProxyLink> link, Direction direction) {
  // GCC 12 makes a wrong pointer of `link->` where it stands in a condition that waits.
  bool is_open = true;
  while (is_open) is_open = co_await link->AsyncPassNext(direction);
  link->Close();
}

asio::awaitable<bool> ProxyLink::AsyncPassNext(Direction direction) {
  Lane& lane = LaneOf(direction);
  if (!lane.held.empty() && !co_await AsyncAwaitMore(direction)) {
    Bytes held = std::exchange(lane.held, {});
    co_return co_await AsyncPassFrame(direction, held, lane.held_fate);
  }
  lane.frame.resize(net::kFrameHeaderBytes);
  if (!co_await AsyncRead(direction, lane.frame)) co_return false;
  lane.frame.resize(FrameBytes(lane.frame));
  const auto body = std::span(lane.frame).subspan(net::kFrameHeaderBytes);
  if (!co_await AsyncRead(direction, body)) co_return false;
  ++lane.frames;
  const FrameFate fate = DecideFate(direction, lane.frame);
  if (fate.is_held_back && lane.held.empty()) {
    lane.held = lane.frame;
    lane.held_fate = fate;
    co_return true;
  }
  if (!co_await AsyncPassFrame(direction, lane.frame, fate)) co_return false;
  if (!lane.held.empty()) {
    ++counts_.held_back;
    Bytes held = std::exchange(lane.held, {});
    if (!co_await AsyncPassFrame(direction, held, lane.held_fate)) co_return false;
  }
  co_return co_await AsyncPassCopies(direction);
}

FrameFate ProxyLink::DecideFate(Direction direction, const Bytes& frame) {
  if (!plan_) return {};
  return plan_({.connection = number_,
                .direction = direction,
                .number = LaneOf(direction).frames,
                .type = LoadLittleEndian<std::uint16_t>(frame.data() + 6),
                .bytes = frame.size()});
}

asio::awaitable<bool> ProxyLink::AsyncPassFrame(Direction direction, std::span<std::byte> frame,
                                                FrameFate fate) {
  if (fate.delay.count() > 0 && !co_await AsyncWait(direction, fate.delay)) co_return false;
  if (fate.is_dropped) co_return true;
  if (fate.repeated_after) {
    Lane& lane = LaneOf(direction);
    const std::uint64_t due = lane.frames + *fate.repeated_after;
    const auto place = std::ranges::upper_bound(lane.copies, due, {}, &Copy::due);
    lane.copies.insert(place, Copy{.due = due, .frame = Bytes(frame.begin(), frame.end())});
  }
  if (fate.flipped_bit) Flip(direction, frame, *fate.flipped_bit);
  if (fate.bytes_per_second > 0) {
    fate.piece_bytes = std::max<std::size_t>(1, fate.bytes_per_second / kPieces);
    fate.pause = milliseconds(1000 * fate.piece_bytes / fate.bytes_per_second);
  }
  if (fate.bytes_left) frame = frame.first(std::min(*fate.bytes_left, frame.size()));
  const std::size_t piece = fate.piece_bytes == 0 ? frame.size() : fate.piece_bytes;
  while (!frame.empty()) {
    const std::span<std::byte> next = frame.first(std::min(piece, frame.size()));
    if (!co_await AsyncWrite(direction, next)) co_return false;
    frame = frame.subspan(next.size());
    if (frame.empty() || fate.pause.count() == 0) continue;
    if (!co_await AsyncWait(direction, fate.pause)) co_return false;
  }
  if (fate.bytes_left) ++counts_.cuts;
  co_return !fate.bytes_left;
}

asio::awaitable<bool> ProxyLink::AsyncPassCopies(Direction direction) {
  Lane& lane = LaneOf(direction);
  while (!lane.copies.empty() && lane.copies.front().due <= lane.frames) {
    const Bytes frame = std::move(lane.copies.front().frame);
    lane.copies.pop_front();
    ++counts_.repeated;
    if (!co_await AsyncWrite(direction, frame)) co_return false;
  }
  co_return true;
}

void ProxyLink::Flip(Direction direction, std::span<std::byte> frame, std::size_t bit) {
  if (flipped_) return;
  DCN_CHECK_LT(bit / 8, frame.size());
  flipped_ = direction;
  ++(direction == Direction::kToServer ? counts_.flips_to_server : counts_.flips_to_client);
  frame[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
}

asio::awaitable<bool> ProxyLink::AsyncRead(Direction direction, std::span<std::byte> bytes) {
  boost::system::error_code error;
  co_await asio::async_read(From(direction), asio::buffer(bytes.data(), bytes.size()),
                            asio::redirect_error(asio::use_awaitable, error));
  if (error) OnEnd(direction == Direction::kToServer);
  co_return !error;
}

asio::awaitable<bool> ProxyLink::AsyncWrite(Direction direction, std::span<const std::byte> bytes) {
  boost::system::error_code error;
  co_await asio::async_write(To(direction), asio::buffer(bytes.data(), bytes.size()),
                             asio::redirect_error(asio::use_awaitable, error));
  if (error) OnEnd(direction == Direction::kToClient);
  co_return !error;
}

asio::awaitable<bool> ProxyLink::AsyncWait(Direction direction, milliseconds time) {
  boost::system::error_code cancelled;
  asio::steady_timer& timer = LaneOf(direction).timer;
  timer.expires_after(time);
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  co_return !is_closed_;
}

// Looks every millisecond: an end of the stream is no byte, and is found by the next read.
asio::awaitable<bool> ProxyLink::AsyncAwaitMore(Direction direction) {
  for (milliseconds waited{0}; waited < kHoldLimit; ++waited) {
    boost::system::error_code error;
    if (is_closed_ || From(direction).available(error) > 0) break;
    if (!co_await AsyncWait(direction, milliseconds(1))) break;
  }
  boost::system::error_code error;
  co_return !is_closed_ && From(direction).available(error) > 0;
}

void ProxyLink::OnEnd(bool is_clients) {
  if (is_closed_) return;
  const Direction towards = is_clients ? Direction::kToClient : Direction::kToServer;
  if (flipped_ == towards) ++counts_.flips_refused;
  Close();
}

void ProxyLink::Close() {
  boost::system::error_code ignored;
  is_closed_ = true;
  client_.close(ignored);
  server_.close(ignored);
  for (Lane& lane : lanes_) lane.timer.cancel();
}

}  // namespace dcn::testing
