#include "tests/testing/tcp_proxy.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <spdlog/spdlog.h>

#include "common/bytes.h"
#include "common/named_thread.h"
#include "common/net/frame.h"
#include "common/net/listener.h"
#include "common/net/task_scope.h"

namespace dcn::testing {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{10};

// The two sockets of one connection, closed together.
struct Link {
  Link(std::uint64_t number, tcp::socket accepted)
      : id(number),
        client(std::move(accepted)),
        server(client.get_executor()),
        delays{asio::steady_timer(client.get_executor()),
               asio::steady_timer(client.get_executor())} {}

  tcp::socket& From(Direction direction) {
    return direction == Direction::kToServer ? client : server;
  }
  tcp::socket& To(Direction direction) {
    return direction == Direction::kToServer ? server : client;
  }
  asio::steady_timer& DelayOf(Direction direction) {
    return delays[direction == Direction::kToServer ? 0 : 1];
  }
  void Close() {
    boost::system::error_code ignored;
    is_closed = true;
    client.close(ignored);
    server.close(ignored);
    for (asio::steady_timer& delay : delays) delay.cancel();
  }

  const std::uint64_t id;
  bool is_closed = false;
  tcp::socket client;
  tcp::socket server;
  std::array<asio::steady_timer, 2> delays;
};

// The length of the frame that starts with this header, header included.
std::size_t FrameBytes(std::span<const std::byte> header) {
  return net::kFrameHeaderBytes + LoadLittleEndian<std::uint32_t>(header.data() + 12);
}

}  // namespace

class TcpProxy::Impl {
 public:
  Impl(std::uint16_t target, FramePlan plan)
      : target_(target),
        plan_(std::move(plan)),
        work_(asio::make_work_guard(io_)),
        listener_(Listen(io_)),
        tasks_(io_.get_executor(), OnException),
        stop_tasks_(io_.get_executor(), OnException) {
    tasks_.Start("accept", listener_.AsyncAccept(
                               [this](tcp::socket socket) { OnSocket(std::move(socket)); }));
    thread_ = std::make_unique<NamedThread>(
        "proxy", [this] { io_.run(); }, [](std::string_view what) { OnException("proxy", what); });
  }

  ~Impl() {
    asio::post(io_, [this] { stop_tasks_.Start("stop", AsyncStop()); });
    thread_.reset();
  }

  [[nodiscard]] const net::Address& address() const { return listener_.address(); }
  [[nodiscard]] std::uint64_t cuts() const { return cuts_; }
  void set_target(std::uint16_t target) { target_ = target; }

  void CutAll() {
    std::promise<void> done;
    asio::post(io_, [this, &done] {
      CloseLinks();
      done.set_value();
    });
    done.get_future().wait();
  }

  bool AwaitConnections(std::uint64_t count) {
    std::unique_lock lock(mutex_);
    return came_.wait_for(lock, kPatience, [&] { return connections_ >= count; });
  }

 private:
  static void OnException(std::string_view task, std::string_view what) {
    spdlog::critical("the proxy's task '{}': {}", task, what);
  }

  static net::Listener Listen(asio::io_context& io) {
    auto listener = net::Listener::Open(io.get_executor(), {"127.0.0.1", 0});
    if (!listener.ok()) throw std::runtime_error(listener.status().ToString());
    return std::move(*listener);
  }

  void OnSocket(tcp::socket socket) {
    {
      const std::lock_guard lock(mutex_);
      ++connections_;
    }
    came_.notify_all();
    std::erase_if(links_, [](const std::weak_ptr<Link>& link) { return link.expired(); });
    const auto link = std::make_shared<Link>(connections_, std::move(socket));
    links_.push_back(link);
    tasks_.Start("connect", AsyncConnect(link));
  }

  asio::awaitable<void> AsyncConnect(std::shared_ptr<Link> link) {
    boost::system::error_code error;
    const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), target_);
    co_await link->server.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
    if (error || link->is_closed) {
      link->Close();
      co_return;
    }
    link->client.set_option(tcp::no_delay(true), error);
    link->server.set_option(tcp::no_delay(true), error);
    tasks_.Start("to the server", AsyncPass(link, Direction::kToServer));
    tasks_.Start("to the client", AsyncPass(link, Direction::kToClient));
  }

  // Passes frames on until one end closes.
  asio::awaitable<void> AsyncPass(std::shared_ptr<Link> link, Direction direction) {
    std::vector<std::byte> frame;
    boost::system::error_code error;
    for (std::uint64_t number = 1; !link->is_closed; ++number) {
      frame.resize(net::kFrameHeaderBytes);
      co_await asio::async_read(link->From(direction), asio::buffer(frame),
                                asio::redirect_error(asio::use_awaitable, error));
      if (error) break;
      frame.resize(FrameBytes(frame));
      co_await asio::async_read(link->From(direction), asio::buffer(frame) + net::kFrameHeaderBytes,
                                asio::redirect_error(asio::use_awaitable, error));
      if (error) break;
      const ProxiedFrame proxied = {.connection = link->id,
                                    .direction = direction,
                                    .number = number,
                                    .type = LoadLittleEndian<std::uint16_t>(frame.data() + 6),
                                    .bytes = frame.size()};
      const FrameFate fate = plan_ ? plan_(proxied) : FrameFate();
      if (!co_await AsyncPassFrame(link, direction, frame, fate)) break;
    }
    link->Close();
  }

  // False: the connection is closed, or is to be.
  asio::awaitable<bool> AsyncPassFrame(std::shared_ptr<Link> link, Direction direction,
                                       std::span<const std::byte> frame, FrameFate fate) {
    boost::system::error_code error;
    if (fate.delay.count() > 0) {
      asio::steady_timer& delay = link->DelayOf(direction);
      delay.expires_after(fate.delay);
      co_await delay.async_wait(asio::redirect_error(asio::use_awaitable, error));
      if (link->is_closed) co_return false;
    }
    if (fate.is_dropped) co_return true;
    if (fate.bytes_left) frame = frame.first(std::min(*fate.bytes_left, frame.size()));
    const std::size_t piece = fate.piece_bytes == 0 ? frame.size() : fate.piece_bytes;
    while (!frame.empty()) {
      const std::span<const std::byte> next = frame.first(std::min(piece, frame.size()));
      co_await asio::async_write(link->To(direction), asio::buffer(next.data(), next.size()),
                                 asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return false;
      frame = frame.subspan(next.size());
    }
    if (fate.bytes_left) ++cuts_;
    co_return !fate.bytes_left;
  }

  void CloseLinks() {
    for (const std::weak_ptr<Link>& link : links_) {
      if (const auto open = link.lock()) open->Close();
    }
  }

  asio::awaitable<void> AsyncStop() {
    listener_.Close();
    CloseLinks();
    const Status closed = co_await tasks_.AsyncClose(Clock::now() + kPatience);
    if (!closed.ok()) spdlog::critical("the proxy: {}", closed.message());
    io_.stop();
  }

  std::mutex mutex_;
  std::condition_variable came_;
  std::uint64_t connections_ = 0;  // guarded by mutex_; changed by the thread only

  std::atomic<std::uint16_t> target_;
  std::atomic<std::uint64_t> cuts_ = 0;
  const FramePlan plan_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  net::Listener listener_;
  std::vector<std::weak_ptr<Link>> links_;  // the tasks own them
  net::TaskScope tasks_;
  net::TaskScope stop_tasks_;  // what waits for the others' end
  std::unique_ptr<NamedThread> thread_;
};

TcpProxy::TcpProxy(std::uint16_t target, FramePlan plan)
    : impl_(std::make_unique<Impl>(target, std::move(plan))) {}
TcpProxy::~TcpProxy() = default;

std::uint16_t TcpProxy::port() const { return impl_->address().port; }
std::string TcpProxy::address() const { return impl_->address().ToString(); }
void TcpProxy::set_target(std::uint16_t target) { impl_->set_target(target); }
void TcpProxy::CutAll() { impl_->CutAll(); }
bool TcpProxy::AwaitConnections(std::uint64_t count) { return impl_->AwaitConnections(count); }
std::uint64_t TcpProxy::cuts() const { return impl_->cuts(); }

}  // namespace dcn::testing
