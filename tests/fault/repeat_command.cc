#include "tests/fault/repeat_command.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace dcn::testing {
namespace {

constexpr const char* kSeed = "DCN_FAULT_SEED";

// "kill" of fault_kill_test.
std::string TestName() {
  std::string_view name = program_invocation_short_name;
  if (name.starts_with("fault_")) name.remove_prefix(6);
  if (name.ends_with("_test")) name.remove_suffix(5);
  return std::string(name);
}

class CommandPrinter final : public ::testing::EmptyTestEventListener {
  void OnTestStart(const ::testing::TestInfo& test) override {
    std::string variables;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      if (std::string_view(*variable).starts_with("DCN_FAULT_")) {
        variables += *variable + std::string(" ");
      }
    }
    fmt::print("again: {}tests/fault/repeat.sh {} --gtest_filter={}.{}\n", variables, TestName(),
               test.test_suite_name(), test.name());
    std::fflush(stdout);  // before whatever hangs
  }
};

// gtest owns the printer, and has it before main() begins.
const bool kIsPrinting = [] {
  ::setenv(kSeed, std::to_string(std::random_device()()).c_str(), /*overwrite=*/0);
  ::testing::UnitTest::GetInstance()->listeners().Append(new CommandPrinter);
  return true;
}();

}  // namespace

std::uint64_t NumberFrom(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::stoull(text);
}

std::uint64_t Seed() { return NumberFrom(kSeed, 0); }

}  // namespace dcn::testing
