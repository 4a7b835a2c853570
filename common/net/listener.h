// Listens at an address and hands out the connections that come.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "common/net/address.h"
#include "common/status.h"

namespace dcn::net {

/// Whether every address that the host's name stands for is reached from this machine only.
/// kInvalidArgument: a name that cannot be resolved.
[[nodiscard]] Result<bool> IsLoopback(const Address& address);

/// Thread safety: none; confined to the executor's thread (Open may run before that starts).
class Listener {
 public:
  using SocketHandler = std::function<void(boost::asio::ip::tcp::socket socket)>;

  /// Binds and listens; port 0 is any free one. Host names give their first address.
  /// kInvalidArgument: a name that cannot be resolved, a port in use, no permission; names the
  /// address and what to do.
  [[nodiscard]] static Result<Listener> Open(const boost::asio::any_io_executor& executor,
                                             const Address& address);

  /// Where it listens: the number that the host's name stands for, the port that was bound.
  [[nodiscard]] const Address& address() const { return address_; }

  [[nodiscard]] boost::asio::any_io_executor executor() { return acceptor_.get_executor(); }

  /// Accepts until Close; a failure to accept one (out of descriptors, …) is waited out.
  /// The listener outlives it. Runs as one task.
  boost::asio::awaitable<void> AsyncAccept(SocketHandler on_socket);

  /// Refuses connections from now on; AsyncAccept returns.
  void Close();

 private:
  Listener(boost::asio::ip::tcp::acceptor acceptor, Address address);

  boost::asio::ip::tcp::acceptor acceptor_;
  Address address_;
  boost::asio::steady_timer pause_;
};

}  // namespace dcn::net
