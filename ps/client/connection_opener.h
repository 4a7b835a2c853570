// Opens a connection to a server: finds an address that answers, says hello, waits out a server
// that is not there yet or busy.
//
// Where it is known which server is meant, it is asked who it is before the rank says hello as a
// worker: another server at that address (a restarted one, another host's) must not take the rank
// for one of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "common/net/address.h"
#include "common/net/connection.h"
#include "common/net/task_scope.h"
#include "common/status.h"
#include "ps/message.h"

namespace dcn::ps {

/// A connection that was welcomed. What writes it runs as a task already.
struct OpenedConnection {
  std::shared_ptr<net::Connection> connection;  // shared with the task that writes
  Welcome welcome;
};

/// Thread safety: none; confined to the executor's thread. One call at a time.
class ConnectionOpener {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// What a call wants.
  struct Goal {
    Hello hello;
    std::uint64_t epoch = 0;
    std::uint64_t incarnation = 0;  // the server that is meant; 0: whichever is there
    std::chrono::milliseconds timeout{};
    bool is_return = false;  // this rank was welcomed before: a refusal is the last word
    // On a return: nobody has listened for so long where the server was.
    std::chrono::milliseconds refused_timeout{};
  };

  /// addresses: of one server, at least one; tried in this order. tasks: outlives this object.
  ConnectionOpener(boost::asio::any_io_executor executor, std::vector<net::Address> addresses,
                   net::TaskScope& tasks);

  /// Tries again and again until the timeout has passed.
  /// kUnavailable: nobody is there (any more), or a server that refuses (says why), or, at all
  /// addresses that answer, another one than the one that is meant. kDeadlineExceeded: somebody is
  /// there, who does not answer. kCancelled: Cancel was called. kInvalidArgument: refused for good,
  /// or a host without an address. A lookup of a host's name may take longer than the timeout.
  boost::asio::awaitable<Result<OpenedConnection>> AsyncOpen(Goal goal);

  /// Makes AsyncOpen return soon, now and in the future.
  void Cancel();

 private:
  // Why an attempt did not succeed.
  struct Setback {
    Status status;
    bool is_final = false;  // nothing to be gained from another attempt
    bool is_stranger = false;
    bool is_nobody = false;  // the system at the address says that nobody listens
  };
  using Attempt = std::variant<OpenedConnection, Setback>;

  boost::asio::awaitable<Attempt> AsyncTryAll(const Goal& goal, TimePoint deadline);
  boost::asio::awaitable<Attempt> AsyncTry(const boost::asio::ip::tcp::endpoint& endpoint,
                                           const Goal& goal, TimePoint deadline);
  // One hello on a connection of its own.
  boost::asio::awaitable<Attempt> AsyncSayHello(const boost::asio::ip::tcp::endpoint& endpoint,
                                                const Goal& goal, const Hello& hello,
                                                std::uint64_t epoch, TimePoint deadline);
  boost::asio::awaitable<boost::system::error_code> AsyncConnect(
      const boost::asio::ip::tcp::endpoint& endpoint);
  boost::asio::awaitable<Attempt> AsyncTakeAnswer(const Goal& goal);
  boost::asio::awaitable<Status> AsyncResolve(
      std::vector<boost::asio::ip::tcp::endpoint>& endpoints);
  // Interrupts what runs at `deadline`; until the next call of this or of Disarm.
  void Arm(TimePoint deadline);
  void Disarm();
  void Interrupt();

  const boost::asio::any_io_executor executor_;
  const std::vector<net::Address> addresses_;
  std::optional<boost::asio::ip::tcp::endpoint> home_;  // where the server was last
  net::TaskScope& tasks_;
  boost::asio::ip::tcp::socket socket_;  // that is connecting
  boost::asio::ip::tcp::resolver resolver_;
  std::shared_ptr<net::Connection> connection_;  // that waits for a welcome; shared with its writer
  boost::asio::steady_timer limit_;              // of one attempt
  std::uint64_t limit_number_ = 0;               // tells an old limit that comes late
  bool is_overdue_ = false;
  boost::asio::steady_timer pause_;
  bool is_cancelled_ = false;
};

}  // namespace dcn::ps
