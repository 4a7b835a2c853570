#include "common/net/interfaces.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "common/net/address.h"

namespace dcn::net {
namespace {

TEST(InterfaceAddressesTest, AreNumbersWithoutLoopbackAndIpv4First) {
  const auto numbers = InterfaceAddresses();
  ASSERT_TRUE(numbers.ok()) << numbers.status().ToString();
  for (const std::string& number : *numbers) {
    const auto parsed = ParseAddress(Address{number, 1}.ToString());
    ASSERT_TRUE(parsed.ok()) << number;
    EXPECT_EQ(parsed->host, number);
    EXPECT_FALSE(number.starts_with("127.") || number == "::1") << number;
    EXPECT_FALSE(number.starts_with("169.254.") || number.starts_with("fe80:")) << number;
  }
  EXPECT_TRUE(std::ranges::is_sorted(*numbers, {}, [](const std::string& number) {
    return number.find(':') != std::string::npos;
  }));
  EXPECT_EQ(std::set<std::string>(numbers->begin(), numbers->end()).size(), numbers->size());
}

}  // namespace
}  // namespace dcn::net
