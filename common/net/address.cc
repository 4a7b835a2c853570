#include "common/net/address.h"

#include <charconv>

namespace dcn::net {

std::string Address::ToString() const {
  if (host.find(':') != std::string::npos) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

Result<Address> ParseAddress(std::string_view text) {
  const auto refuse = [text] {
    return Error(StatusCode::kInvalidArgument,
                 "'{}' is no address: expected HOST:PORT or [IPV6]:PORT, the port up to 65535",
                 text);
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return refuse();
  std::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return refuse();
  }
  if (host.empty() || host.find_first_of("[] \t/") != std::string_view::npos) return refuse();

  const std::string_view digits = text.substr(colon + 1);
  Address address;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (error != std::errc() || end != digits.data() + digits.size()) return refuse();
  address.host = host;
  return address;
}

}  // namespace dcn::net
