// Checks for bugs: a condition that only a mistake in this program can break.
//
// A failed check throws CheckError with the place, the text of the condition and, for comparisons,
// both operands. Nothing but main() (and a pool that carries it there) catches it.
#pragma once

#include <stdexcept>
#include <string>

#include <fmt/core.h>

namespace dcn {

/// A broken invariant of this program; what() says where and which.
class CheckError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

namespace internal {
[[noreturn]] inline void FailCheck(const char* file, int line, const std::string& what) {
  throw CheckError(fmt::format("{}:{}: check failed: {}", file, line, what));
}
}  // namespace internal
}  // namespace dcn

#define DCN_CHECK(condition)                                      \
  do {                                                            \
    if (!(condition)) [[unlikely]]                                \
      ::dcn::internal::FailCheck(__FILE__, __LINE__, #condition); \
  } while (false)

#define DCN_CHECK_OP_(a, op, b)                                                                    \
  do {                                                                                             \
    const auto& dcn_a_ = (a);                                                                      \
    const auto& dcn_b_ = (b);                                                                      \
    if (!(dcn_a_ op dcn_b_)) [[unlikely]]                                                          \
      ::dcn::internal::FailCheck(__FILE__, __LINE__,                                               \
                                 fmt::format("{} {} {} ({} vs {})", #a, #op, #b, dcn_a_, dcn_b_)); \
  } while (false)

/// Compare two printable values of the same signedness; the message shows both.
#define DCN_CHECK_EQ(a, b) DCN_CHECK_OP_(a, ==, b)
#define DCN_CHECK_NE(a, b) DCN_CHECK_OP_(a, !=, b)
#define DCN_CHECK_LT(a, b) DCN_CHECK_OP_(a, <, b)
#define DCN_CHECK_LE(a, b) DCN_CHECK_OP_(a, <=, b)
#define DCN_CHECK_GT(a, b) DCN_CHECK_OP_(a, >, b)
#define DCN_CHECK_GE(a, b) DCN_CHECK_OP_(a, >=, b)
