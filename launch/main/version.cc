#include "launch/main/version.h"

#include <fmt/core.h>

namespace dcn::launch {

std::string_view CompilerText() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "gcc " __VERSION__;
#endif
}

std::string VersionText(std::string_view program) {
  return fmt::format("{} {} ({})", program, kVersion, CompilerText());
}

}  // namespace dcn::launch
