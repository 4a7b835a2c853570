// Numbers that stand for names in messages. They are the protocol's own: the enumerations of this
// program may be reordered, these may not.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "common/status.h"

namespace dcn::ps {

/// The optimizer of a table definition.
enum class OptimizerNumber : std::uint32_t { kAdam = 1, kLazyAdam = 2, kAdagrad = 3, kSgd = 4 };

/// Status codes by their number, from 1. kOk has none: a failure is never one.
inline constexpr std::array kNumberedStatusCodes = {
    StatusCode::kInvalidArgument,    StatusCode::kNotFound,  StatusCode::kAlreadyExists,
    StatusCode::kOutOfRange,         StatusCode::kDataLoss,  StatusCode::kUnavailable,
    StatusCode::kDeadlineExceeded,   StatusCode::kCancelled, StatusCode::kInternal,
    StatusCode::kFailedPrecondition,
};

/// Nothing: kOk.
constexpr std::optional<std::uint16_t> NumberOfStatusCode(StatusCode code) {
  for (std::size_t i = 0; i < kNumberedStatusCodes.size(); ++i) {
    if (kNumberedStatusCodes[i] == code) return static_cast<std::uint16_t>(i + 1);
  }
  return std::nullopt;
}

/// Nothing: no code has that number.
constexpr std::optional<StatusCode> StatusCodeOfNumber(std::uint16_t number) {
  if (number == 0 || number > kNumberedStatusCodes.size()) return std::nullopt;
  return kNumberedStatusCodes[number - 1U];
}

}  // namespace dcn::ps
