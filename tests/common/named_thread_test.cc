#include "common/named_thread.h"

#include <array>
#include <pthread.h>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace dcn {
namespace {

void NoException(std::string_view what) { ADD_FAILURE() << what; }

TEST(NamedThreadTest, RunsUnderItsNameAndEndsBeforeItsOwner) {
  std::array<char, 16> name{};
  {
    const NamedThread thread(
        "a-name-that-is-too-long",
        [&name] { ::pthread_getname_np(::pthread_self(), name.data(), name.size()); }, NoException);
  }
  EXPECT_EQ(std::string(name.data()), "a-name-that-is-");
}

TEST(NamedThreadTest, ReportsAnException) {
  std::string report;
  {
    NamedThread thread(
        "a", [] { throw std::runtime_error("a bug"); },
        [&report](std::string_view what) { report = what; });
    thread.Join();
    thread.Join();
    EXPECT_EQ(report, "a bug");
  }
  const NamedThread odd(
      "b", [] { throw 7; }, [&report](std::string_view what) { report = what; });
  const_cast<NamedThread&>(odd).Join();
  EXPECT_EQ(report, "an exception of an unknown kind");
}

}  // namespace
}  // namespace dcn
