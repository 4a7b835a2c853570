#include "launch/job/host.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn::job {
namespace {

using ::testing::HasSubstr;

Host On(std::string kernel, std::vector<int> processors, std::vector<int> launcher = {}) {
  Host host;
  host.kernel = std::move(kernel);
  host.network = "net:[1]";
  host.launcher_processors = launcher.empty() ? processors : std::move(launcher);
  host.processors = std::move(processors);
  return host;
}

TEST(HostTest, DescribesThisProcess) {
  const Host host = DescribeHost();
  EXPECT_FALSE(host.kernel.empty());
  EXPECT_THAT(host.network, HasSubstr("net"));
  EXPECT_GE(host.processors.size(), 1U);
  EXPECT_GE(host.launcher_processors.size(), 1U);
}

TEST(HostTest, SurvivesTheWayToAnotherRank) {
  const Host host = On("a", {0, 3, 64}, {0, 1, 2, 3, 64});
  const Result<Host> parsed = Host::Parse(host.ToText());
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_EQ(*parsed, host);
}

TEST(HostTest, RefusesWhatIsNoHost) {
  for (const char* text : {"", "{", "[]", "{}", R"({"kernel": 1})"}) {
    EXPECT_EQ(Host::Parse(text).status().code(), StatusCode::kUnavailable) << text;
  }
}

TEST(ThreadsOfTest, AreAllProcessorsOfARankAlone) {
  EXPECT_EQ(ThreadsOf(std::vector{On("a", {0, 1, 2, 3, 4})}, 0), 5);
}

TEST(ThreadsOfTest, ShareProcessorsWithRanksOfTheSameHostOnly) {
  const std::vector<Host> hosts = {On("a", {0, 1, 2, 3}), On("b", {0, 1, 2, 3}),
                                   On("a", {0, 1, 2, 3})};
  EXPECT_EQ(ThreadsOf(hosts, 0), 2);
  EXPECT_EQ(ThreadsOf(hosts, 1), 4);
  EXPECT_EQ(ThreadsOf(hosts, 2), 2);
}

TEST(ThreadsOfTest, AreAllProcessorsOfAPinnedRank) {
  const std::vector<Host> hosts = {On("a", {0, 1}), On("a", {2, 3})};
  EXPECT_EQ(ThreadsOf(hosts, 0), 2);
  EXPECT_EQ(ThreadsOf(hosts, 1), 2);
}

TEST(ThreadsOfTest, AreAtLeastOne) {
  const std::vector<Host> crowded(5, On("a", {0, 1}));
  EXPECT_EQ(ThreadsOf(crowded, 4), 1);
  EXPECT_EQ(ThreadsOf(std::vector{On("a", {})}, 0), 1);
}

TEST(IsOneNetworkTest, TellsHostsAndContainersApart) {
  Host container = On("a", {0});
  container.network = "net:[2]";
  EXPECT_TRUE(IsOneNetwork(std::vector{On("a", {0})}));
  EXPECT_TRUE(IsOneNetwork(std::vector{On("a", {0}), On("a", {1})}));
  EXPECT_FALSE(IsOneNetwork(std::vector{On("a", {0}), On("a", {0}), On("b", {0})}));
  EXPECT_FALSE(IsOneNetwork(std::vector{On("a", {0}), container}));
}

TEST(PinningAdviceTest, ComesWhereProcessorsStayIdle) {
  const std::vector<int> all = {0, 1, 2, 3};
  const std::vector<Host> pinned = {On("a", {0}, all), On("a", {1}, all)};
  const auto advice = PinningAdvice(pinned, 0);
  ASSERT_TRUE(advice.has_value());
  EXPECT_THAT(*advice, HasSubstr("pinned to 2 of its 4"));
  EXPECT_THAT(*advice, HasSubstr("--bind-to none"));
}

TEST(PinningAdviceTest, DoesNotComeWhereAllAreInUse) {
  const std::vector<int> all = {0, 1};
  EXPECT_FALSE(PinningAdvice(std::vector{On("a", {0}, all), On("a", {1}, all)}, 1).has_value());
  EXPECT_FALSE(PinningAdvice(std::vector{On("a", all, all)}, 0).has_value());
}

}  // namespace
}  // namespace dcn::job
