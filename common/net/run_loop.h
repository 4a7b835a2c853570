// How a thread runs an I/O loop that the steps of a training run wait for.
#pragma once

#include <boost/asio/io_context.hpp>

namespace dcn::net {

/// Runs handlers until `io` is stopped, as its run() does. What a handler throws is thrown from
/// here; may be called again then. REQUIRES: `io` has a work guard.
///
/// Where there is nothing to do, the thread looks for work a little longer before it sleeps, and
/// offers its processor to other threads after each look. A request of a step arrives in parts,
/// some microseconds after one another: sleeping in between makes the sender wake this thread for
/// each part, which costs the sender, whom everybody waits for, more than it takes to look.
void RunLoop(boost::asio::io_context& io);

}  // namespace dcn::net
