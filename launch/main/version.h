// Names and versions of what was built, for --version and for the results.
#pragma once

#include <string>
#include <string_view>

namespace dcn::launch {

/// The product's version, as in the top CMakeLists.txt.
inline constexpr std::string_view kVersion = DCN_VERSION;

/// "<program> <version> (<compiler>)".
std::string VersionText(std::string_view program);

/// The compiler that built this, with its version.
std::string_view CompilerText();

}  // namespace dcn::launch
