// JSON text from outside, parsed without exceptions and within bounds.
#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

#include "common/status.h"

namespace dcn {

/// Deepest nesting that ParseJson takes; our own files need five.
inline constexpr int kMaxJsonDepth = 64;

/// Parses one whole document. where: the file (or its part) that the messages name.
/// kDataLoss: "<where>: byte N: …" for anything but well-formed UTF-8 JSON within kMaxJsonDepth.
Result<nlohmann::json> ParseJson(std::string_view text, std::string_view where);

}  // namespace dcn
