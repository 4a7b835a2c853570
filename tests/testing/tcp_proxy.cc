#include "tests/testing/tcp_proxy.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "common/named_thread.h"
#include "common/net/listener.h"
#include "common/net/task_scope.h"
#include "tests/testing/tcp_proxy_link.h"

namespace dcn::testing {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{10};

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
  void set_target(std::uint16_t target) { target_ = target; }

  void CutAll() {
    std::promise<void> done;
    asio::post(io_, [this, &done] {
      CloseLinks();
      done.set_value();
    });
    done.get_future().wait();
  }

  ProxyCounts counts() {
    std::promise<ProxyCounts> counts;
    asio::post(io_, [this, &counts] { counts.set_value(counts_); });
    return counts.get_future().get();
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
    std::erase_if(links_, [](const std::weak_ptr<ProxyLink>& link) { return link.expired(); });
    const auto link =
        std::make_shared<ProxyLink>(++counts_.connections, std::move(socket), plan_, counts_);
    links_.push_back(link);
    tasks_.Start("connect", AsyncConnect(link));
  }

  asio::awaitable<void> AsyncConnect(std::shared_ptr<ProxyLink> link) {
    // Not within the condition: as in ProxyLink::AsyncPass.
    const std::uint16_t target = target_;
    const bool is_connected = co_await link->AsyncConnect(target);
    if (!is_connected) co_return;
    tasks_.Start("to the server", ProxyLink::AsyncPass(link, Direction::kToServer));
    tasks_.Start("to the client", ProxyLink::AsyncPass(link, Direction::kToClient));
  }

  void CloseLinks() {
    for (const std::weak_ptr<ProxyLink>& link : links_) {
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
  std::uint64_t connections_ = 0;  // guarded by mutex_

  std::atomic<std::uint16_t> target_;
  ProxyCounts counts_;  // of the thread
  const FramePlan plan_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  net::Listener listener_;
  std::vector<std::weak_ptr<ProxyLink>> links_;  // the tasks own them
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
ProxyCounts TcpProxy::counts() const { return impl_->counts(); }

}  // namespace dcn::testing
