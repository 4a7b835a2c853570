// How a thread runs an I/O loop that the steps of a training run wait for.
//
// A request of a step arrives in pieces, some microseconds after one another. On one machine, the
// sender's thread wakes the receiver's for each piece where that sleeps in between, and everybody
// waits for the sender: so a thread with nothing to do looks for work a little longer before it
// sleeps, and offers its processor to others after each look.
#pragma once

#include <functional>
#include <string_view>

#include <boost/asio/io_context.hpp>

namespace dcn::net {

/// Runs handlers until `io` is stopped, or has nothing left to wait for. on_exception: is called
/// with the text of an exception that has left a handler, which is a bug; the others go on, so that
/// whoever waits for them can be told. Must not throw. Thread safety: one thread at a time for one
/// `io`; others may post to it and stop it.
void RunLoop(boost::asio::io_context& io,
             const std::function<void(std::string_view what)>& on_exception);

}  // namespace dcn::net
