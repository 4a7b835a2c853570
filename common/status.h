// Foreseen failures as values: Status (no payload) and Result<T> (a T or a Status).
//
// A bug is not a Status: it is a DCN_CHECK (check.h). Whatever comes from outside and can go wrong
// on a good day (files, options, peers) returns one of these, with a message that names what,
// where and what to do. Messages are one line: fixed text first, then the values.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "common/check.h"

namespace dcn {

/// Why a call failed. The programs map these to exit codes (launch/main/exit_code.h).
enum class StatusCode {
  kOk,
  kInvalidArgument,     // an option or a configuration is wrong, or does not fit what is there
  kNotFound,            // a named input does not exist
  kAlreadyExists,       // it is there already, and is another one
  kOutOfRange,          // a position, step or index outside what is valid now
  kDataLoss,            // bytes that cannot be what they should be: malformed, truncated, corrupt
  kUnavailable,         // a peer or resource is gone or not there yet
  kDeadlineExceeded,    // the answer did not come in time; the peer may well be alive
  kCancelled,           // stopped on request
  kFailedPrecondition,  // what an earlier run has left cannot be gone on from
  kInternal,            // the operating system or a library failed
};

/// The code's name as it stands above without the k, in lower case with blanks ("data loss").
const char* StatusCodeName(StatusCode code);

/// Success, or a code with a message.
class [[nodiscard]] Status {
 public:
  Status() = default;  // success
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  [[nodiscard]] bool ok() const { return code_ == StatusCode::kOk; }
  [[nodiscard]] StatusCode code() const { return code_; }
  [[nodiscard]] const std::string& message() const { return message_; }

  /// "<code name>: <message>", or "ok".
  [[nodiscard]] std::string ToString() const;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

/// Builds a Status from a format string: `Error(StatusCode::kDataLoss, "{}:{}: …", file, line)`.
template <typename... Args>
Status Error(StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Status(code, fmt::format(format, std::forward<Args>(args)...));
}

/// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    DCN_CHECK(!status_.ok());
  }

  [[nodiscard]] bool ok() const { return value_.has_value(); }
  [[nodiscard]] const Status& status() const { return status_; }

  /// REQUIRES: ok().
  T& value() & {
    DCN_CHECK(ok());
    return *value_;
  }
  const T& value() const& {
    DCN_CHECK(ok());
    return *value_;
  }
  T&& value() && {
    DCN_CHECK(ok());
    return std::move(*value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace dcn

/// Returns from the enclosing function with the failed Status of `expression`.
#define DCN_RETURN_IF_ERROR(expression)                                                  \
  do {                                                                                   \
    if (::dcn::Status dcn_status_ = (expression); !dcn_status_.ok()) return dcn_status_; \
  } while (false)

#define DCN_CONCAT_INNER_(a, b) a##b
#define DCN_CONCAT_(a, b) DCN_CONCAT_INNER_(a, b)

/// `DCN_ASSIGN_OR_RETURN(auto x, Function());` declares x, or returns the failed Status.
#define DCN_ASSIGN_OR_RETURN(declaration, expression) \
  DCN_ASSIGN_OR_RETURN_IMPL_(DCN_CONCAT_(dcn_result_, __LINE__), declaration, expression)
#define DCN_ASSIGN_OR_RETURN_IMPL_(result, declaration, expression) \
  auto result = (expression);                                       \
  if (!result.ok()) return result.status();                         \
  declaration = std::move(result).value()
