// dcn_ps from the outside: starting, stopping, status, what it refuses and how it says so.

#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/stat.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/net/address.h"
#include "tests/ps/server/raw_client.h"
#include "tests/testing/command.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::launch {
namespace {

using ps::testing::RawClient;
using ::testing::AllOf;
using testing::CommandResult;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ReadText;
using testing::RunningCommand;
using testing::TemporaryFolder;
using testing::WriteText;

class DcnPs : public ::testing::Test {
 protected:
  static CommandResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), testing::BuiltProgram("dcn_ps"));
    return testing::RunCommand(arguments, std::chrono::seconds(30));
  }

  // Starts a server at any port and waits until it listens.
  void Start(std::vector<std::string> arguments = {}) {
    std::filesystem::remove(path("port"));
    arguments.insert(arguments.begin(), testing::BuiltProgram("dcn_ps"));
    arguments.insert(arguments.end(), {"--listen", "127.0.0.1:0", "--port-file", path("port")});
    server_ = std::make_unique<RunningCommand>(arguments, path("log"));
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!std::filesystem::exists(path("port"))) {
      if (std::chrono::steady_clock::now() > deadline) {
        throw std::runtime_error("dcn_ps does not start: " + ReadText(path("log")));
      }
    }
    address_ = ReadText(path("port"));
    ASSERT_TRUE(address_.ends_with('\n'));
    address_.pop_back();
  }

  [[nodiscard]] std::uint16_t port() const { return net::ParseAddress(address_).value().port; }

  [[nodiscard]] static ps::Hello Worker() {
    return {.role = ps::Role::kWorker, .rank = 0, .ranks = 1, .job = "x", .token = {}};
  }

  int StopAndWait(int signal) {
    server_->Signal(signal);
    return server_->Wait().exit_code;
  }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_.path() / name; }

  // A token file that only its owner can read.
  std::string MakeTokenFile(const std::string& text) {
    WriteText(path("token"), text);
    EXPECT_EQ(::chmod(path("token").c_str(), 0600), 0);
    return path("token");
  }

  TemporaryFolder folder_;
  std::unique_ptr<RunningCommand> server_;
  std::string address_;
};

TEST_F(DcnPs, SaysWhereItListensAndEndsWellOnEitherSignal) {
  for (const int signal : {SIGTERM, SIGINT}) {
    Start();
    EXPECT_TRUE(address_.starts_with("127.0.0.1:")) << address_;
    EXPECT_NE(port(), 0);
    EXPECT_EQ(StopAndWait(signal), 0);
  }
}

TEST_F(DcnPs, EndsWellOnceTheJobHasEnded) {
  Start();
  RawClient worker(port());
  ASSERT_TRUE(worker.SayHello(Worker(), 1).ok());
  ASSERT_EQ(worker.Ask(ps::MessageType::kEndJob).type, ps::MessageType::kDone);
  EXPECT_EQ(StopAndWait(SIGTERM), 0);
}

TEST_F(DcnPs, SaysThatItWasStoppedDuringAJob) {
  Start();
  RawClient worker(port());
  ASSERT_TRUE(worker.SayHello(Worker(), 1).ok());
  EXPECT_EQ(StopAndWait(SIGTERM), 6);
  EXPECT_TRUE(worker.IsClosedByServer());
}

TEST_F(DcnPs, NamesAPortInUse) {
  Start();
  const CommandResult second = Run({"--listen", address_});
  EXPECT_EQ(second.exit_code, 2);
  EXPECT_THAT(second.err,
              AllOf(HasSubstr(address_), HasSubstr("in use"), HasSubstr("another port")));
}

TEST_F(DcnPs, PrintsItsStatus) {
  Start({"--shards", "2"});
  RawClient worker(port());
  ASSERT_TRUE(worker.SayHello(Worker(), 4).ok());
  const std::vector<ps::TableDefinition> tables = {
      {"embedding/movie_id", 4, {.seed = 1}, ps::AdamOptions{}}};
  ASSERT_EQ(
      worker.Ask(ps::MessageType::kCreateTables, ps::testing::CreateTablesBody(0, tables)).type,
      ps::MessageType::kDone);
  const std::vector<ps::Key> keys = {1, 2, 3};
  const std::vector<float> values(12, 0.5F);
  ps::Body assign;
  ps::EncodeAssign(0, 0, keys, values, assign);
  ASSERT_EQ(worker.Ask(ps::MessageType::kAssign, assign).type, ps::MessageType::kDone);

  const CommandResult status = Run({"--status", address_});
  EXPECT_EQ(status.exit_code, 0) << status.err;
  EXPECT_THAT(status.out, AllOf(HasSubstr(address_), HasSubstr("x (running), epoch 4"),
                                HasSubstr("1 of 1 ranks connected"), HasSubstr("/s)"),
                                HasSubstr("embedding/movie_id")));
  // Three rows on the first of two shards: twice the mean.
  EXPECT_THAT(status.out, HasSubstr("largest shard / mean: 2.00 in rows"));
  EXPECT_EQ(worker.Ask(ps::MessageType::kPing).type, ps::MessageType::kPong);
}

TEST_F(DcnPs, StatusNamesAServerThatIsNotThere) {
  Start();
  ASSERT_EQ(StopAndWait(SIGTERM), 0);
  const CommandResult status = Run({"--status", address_});
  EXPECT_EQ(status.exit_code, 4);
  EXPECT_THAT(status.err, HasSubstr(address_));
}

TEST_F(DcnPs, ListensBeyondThisMachineOnlyWithATokenOrKnowingly) {
  const CommandResult refused = Run({"--listen", "0.0.0.0:0"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("--token-file"), HasSubstr("--insecure")));
}

TEST_F(DcnPs, AsksForTheTokenOfItsFile) {
  Start({"--token-file", MakeTokenFile("sesame\n")});
  const CommandResult without = Run({"--status", address_});
  EXPECT_EQ(without.exit_code, 2);
  EXPECT_THAT(without.err, AllOf(HasSubstr("token"), HasSubstr(address_)));
  const CommandResult with = Run({"--status", address_, "--token-file", path("token")});
  EXPECT_EQ(with.exit_code, 0) << with.err;
  EXPECT_THAT(ReadText(path("log")), Not(HasSubstr("sesame")));
}

TEST_F(DcnPs, RefusesATokenFileThatOthersCanReadOrThatIsEmpty) {
  const std::string file = MakeTokenFile("sesame\n");
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  const CommandResult open = Run({"--listen", "127.0.0.1:0", "--token-file", file});
  EXPECT_EQ(open.exit_code, 2);
  EXPECT_THAT(open.err, AllOf(HasSubstr(file), HasSubstr("chmod 600"), Not(HasSubstr("sesame"))));
  const CommandResult empty = Run({"--listen", "127.0.0.1:0", "--token-file", MakeTokenFile("\n")});
  EXPECT_EQ(empty.exit_code, 2);
  EXPECT_THAT(empty.err, HasSubstr(path("token")));
  const CommandResult absent = Run({"--listen", "127.0.0.1:0", "--token-file", path("absent")});
  EXPECT_EQ(absent.exit_code, 2);
  EXPECT_THAT(absent.err, HasSubstr(path("absent")));
}

TEST_F(DcnPs, TakesOptionsFromAFileAndTheCommandLineWins) {
  WriteText(path("ps.toml"), "shards = 3\nlisten = \"127.0.0.1:1\"\n");
  Start({"--config", path("ps.toml")});
  const CommandResult status = Run({"--status", address_});
  EXPECT_THAT(status.out, AllOf(HasSubstr("\n    2 "), Not(HasSubstr("\n    3 "))));
}

TEST_F(DcnPs, RefusesWhatItDoesNotKnow) {
  WriteText(path("ps.toml"), "shrads = 3\n");
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"--shards", "0"},
                                                    {"--lease", "-1"},
                                                    {"--listen", "here"},
                                                    {"--surprise"},
                                                    {"--config", path("ps.toml")},
                                                    {"--config", path("absent.toml")}}) {
    const CommandResult refused = Run(arguments);
    EXPECT_EQ(refused.exit_code, 2) << arguments[0] << refused.err;
    EXPECT_TRUE(refused.err.starts_with("dcn_ps: ")) << refused.err;
  }
  EXPECT_THAT(Run({"--help"}).out, AllOf(HasSubstr("--listen"), HasSubstr("--lease")));
  EXPECT_THAT(Run({"--version"}).out, HasSubstr("dcn_ps "));
}

}  // namespace
}  // namespace dcn::launch
