#include "common/net/listener.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace dcn::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

Result<std::vector<tcp::endpoint>> Resolve(const Address& address) {
  asio::io_context context;
  tcp::resolver resolver(context);
  boost::system::error_code error;
  const auto found =
      resolver.resolve(address.host, std::to_string(address.port),
                       tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error || found.empty()) {
    return Error(StatusCode::kInvalidArgument, "cannot resolve the host of {}: {}",
                 address.ToString(), error.message());
  }
  return std::vector<tcp::endpoint>(found.begin(), found.end());
}

Status ListenError(const Address& address, const boost::system::error_code& error) {
  const char* advice = "";
  if (error == asio::error::address_in_use) {
    advice = "; end the program that listens there, or choose another port (0: any free one)";
  } else if (error == asio::error::access_denied) {
    advice = "; ports below 1024 need root";
  } else if (error == boost::system::errc::address_not_available) {
    advice = "; it is no address of this machine";
  }
  return Error(StatusCode::kInvalidArgument, "cannot listen on {}: {}{}", address.ToString(),
               error.message(), advice);
}

}  // namespace

Result<bool> IsLoopback(const Address& address) {
  DCN_ASSIGN_OR_RETURN(const std::vector<tcp::endpoint> endpoints, Resolve(address));
  return std::ranges::all_of(
      endpoints, [](const tcp::endpoint& endpoint) { return endpoint.address().is_loopback(); });
}

Result<Listener> Listener::Open(const asio::any_io_executor& executor, const Address& address) {
  DCN_ASSIGN_OR_RETURN(const std::vector<tcp::endpoint> endpoints, Resolve(address));
  const tcp::endpoint& endpoint = endpoints.front();
  tcp::acceptor acceptor(executor);
  boost::system::error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return ListenError(address, error);
  const tcp::endpoint bound = acceptor.local_endpoint(error);
  if (error) return ListenError(address, error);
  return Listener(std::move(acceptor), {bound.address().to_string(), bound.port()});
}

Listener::Listener(tcp::acceptor acceptor, Address address)
    : acceptor_(std::move(acceptor)),
      address_(std::move(address)),
      pause_(acceptor_.get_executor()) {}

asio::awaitable<void> Listener::AsyncAccept(SocketHandler on_socket) {
  boost::system::error_code error;
  while (acceptor_.is_open()) {
    tcp::socket socket =
        co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (!acceptor_.is_open()) break;
    if (!error) {
      on_socket(std::move(socket));
    } else {
      pause_.expires_after(std::chrono::milliseconds(50));
      co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
  }
}

void Listener::Close() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
}

}  // namespace dcn::net
