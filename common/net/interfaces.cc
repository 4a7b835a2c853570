#include "common/net/interfaces.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ifaddrs.h>
#include <memory>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace dcn::net {
namespace {

bool IsLinkLocal(const sockaddr& address) {
  if (address.sa_family == AF_INET6) {
    return IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  }
  const std::uint32_t number = ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr);
  return number >> 16U == 0xA9FEU;  // 169.254.0.0/16
}

}  // namespace

Result<std::vector<std::string>> InterfaceAddresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) {
    return Error(StatusCode::kInternal, "cannot list the network interfaces: {}",
                 std::strerror(errno));
  }
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
  std::vector<std::string> numbers;
  for (const int family : {AF_INET, AF_INET6}) {
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
      if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != family) continue;
      if ((entry->ifa_flags & IFF_UP) == 0 || (entry->ifa_flags & IFF_LOOPBACK) != 0) continue;
      if (IsLinkLocal(*entry->ifa_addr)) continue;
      char number[NI_MAXHOST] = {};
      const socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
      if (::getnameinfo(entry->ifa_addr, length, number, sizeof(number), nullptr, 0,
                        NI_NUMERICHOST) != 0) {
        continue;
      }
      if (std::ranges::find(numbers, number) == numbers.end()) numbers.emplace_back(number);
    }
  }
  return numbers;
}

}  // namespace dcn::net
