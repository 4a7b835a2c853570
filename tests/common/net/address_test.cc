#include "common/net/address.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn::net {
namespace {

TEST(AddressTest, ReadsWhatItWrites) {
  for (const std::string text : {"127.0.0.1:7070", "localhost:0", "[::1]:65535", "a-host.lan:1"}) {
    const auto address = ParseAddress(text);
    ASSERT_TRUE(address.ok()) << address.status().ToString();
    EXPECT_EQ(address->ToString(), text);
  }
  EXPECT_EQ(*ParseAddress("[::1]:80"), (Address{"::1", 80}));
}

TEST(AddressTest, RefusesWhatIsNoAddressAndShowsIt) {
  for (const std::string text :
       {"", "host", ":80", "host:", "host:65536", "host:-1", "host:+1", "host:8o", "host: 80",
        "::1:80", "[]:80", "[::1]", "a b:80", "http://host:80", "[host:80", "host]:80"}) {
    const auto address = ParseAddress(text);
    EXPECT_EQ(address.status().code(), StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(address.status().message(), ::testing::HasSubstr("'" + text + "'"));
  }
}

}  // namespace
}  // namespace dcn::net
