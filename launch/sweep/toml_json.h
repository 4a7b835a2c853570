// Settings between TOML (what users and the worker read) and JSON (what is compared and recorded).
#pragma once

#include <string>

#include <nlohmann/json.hpp>
#include <toml++/toml.h>

#include "common/status.h"

namespace dcn::sweep {

/// Converts a value, list or table. kInvalidArgument: a date, a time, infinity or not a number (no
/// option is one of these); the message is "line N: expected …".
Result<nlohmann::json> JsonFromToml(const toml::node& node);

/// An object of options as a TOML file: plain values first, then tables, keys sorted. The same
/// options give the same text. REQUIRES: no null, finite numbers.
std::string TomlFromJson(const nlohmann::json& options);

}  // namespace dcn::sweep
