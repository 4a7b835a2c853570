// The way to one server as a remote shard sees it: takes requests, ends each of them.
#pragma once

#include "ps/client/request_multiplexer.h"

namespace dcn::ps {

/// Thread safety: all calls may come from any thread.
class RequestSender {
 public:
  virtual ~RequestSender() = default;

  /// Takes a request. Its handler is called exactly once, on another thread: with the answer, or
  /// with why there is none, by the request's deadline.
  virtual void Send(RequestMultiplexer::Request request) = 0;
};

}  // namespace dcn::ps
