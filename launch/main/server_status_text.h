// What a parameter server says about itself, fetched and put into lines for a person.
#pragma once

#include <chrono>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "common/net/address.h"
#include "common/status.h"

namespace dcn::launch {

/// Asks the server at `address` twice, `interval` apart, and returns StatusText. token: may be
/// empty. kUnavailable, kDeadlineExceeded: no answer by `timeout`, or what answers is no parameter
/// server of this version; names the address. kInvalidArgument: the token was refused.
[[nodiscard]] Result<std::string> QueryStatusText(const net::Address& address,
                                                  const std::string& token,
                                                  std::chrono::milliseconds interval,
                                                  std::chrono::milliseconds timeout);

/// Lines about job, requests, tables, shards and their skew, from two answers to status queries
/// (ps/server/server_status.h); the rates are those between the two.
/// kDataLoss: a field is missing or of another type.
[[nodiscard]] Result<std::string> StatusText(const nlohmann::json& before,
                                             const nlohmann::json& after);

}  // namespace dcn::launch
