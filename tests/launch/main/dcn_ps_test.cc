// dcn_ps from the outside: starting, stopping, status, what it refuses and how it says so.

#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <fstream>
#include <memory>
#include <netinet/in.h>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file/file_descriptor.h"
#include "common/named_thread.h"
#include "common/net/frame.h"
#include "tests/ps/server/raw_client.h"
#include "tests/testing/command.h"
#include "tests/testing/server_process.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::launch {
namespace {

using ps::testing::RawClient;
using ::testing::AllOf;
using testing::CommandResult;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ServerProcess;
using testing::TemporaryFolder;
using testing::WriteText;

// Whatever listens at an address where a server is expected: to the first who connects it says
// `bytes`, whatever it is asked.
class Stranger {
 public:
  explicit Stranger(std::string bytes)
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), bytes_(std::move(bytes)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_.get(), generic, length) != 0 || ::listen(listener_.get(), 1) != 0 ||
        ::getsockname(listener_.get(), generic, &length) != 0) {
      throw std::runtime_error("cannot listen on loopback");
    }
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::make_unique<NamedThread>(
        "stranger", [this] { Answer(); }, [](std::string_view what) { ADD_FAILURE() << what; });
  }
  ~Stranger() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.reset();
  }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  void Answer() {
    const FileDescriptor connection(::accept(listener_.get(), nullptr, nullptr));
    if (!connection.is_open()) return;
    (void)::send(connection.get(), bytes_.data(), bytes_.size(), MSG_NOSIGNAL);
    std::array<char, 4096> asked;
    while (::recv(connection.get(), asked.data(), asked.size(), 0) > 0) continue;
  }

  const FileDescriptor listener_;
  const std::string bytes_;
  std::string address_;
  std::unique_ptr<NamedThread> thread_;
};

// A frame as it is sent.
std::string FrameText(ps::MessageType type, const ps::Body& body) {
  const auto header =
      net::EncodeFrameHeader({.type = static_cast<std::uint16_t>(type), .request_id = 1}, body);
  std::string text(reinterpret_cast<const char*>(header.data()), header.size());
  text.append(reinterpret_cast<const char*>(body.data()), body.size());
  return text;
}

class DcnPs : public ::testing::Test {
 protected:
  static CommandResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), testing::BuiltProgram("dcn_ps"));
    return testing::RunCommand(arguments, std::chrono::seconds(30));
  }

  // Starts a server at any port and waits until it listens.
  void Start(const std::vector<std::string>& arguments = {}) {
    server_ = std::make_unique<ServerProcess>(folder_.path(), "ps", arguments);
    address_ = server_->address();
  }

  [[nodiscard]] std::uint16_t port() const { return server_->port(); }

  [[nodiscard]] static ps::Hello Worker() {
    return {.role = ps::Role::kWorker, .rank = 0, .ranks = 1, .job = "x", .token = {}};
  }

  // The server's memory that is in use now.
  [[nodiscard]] std::size_t resident_bytes() const {
    std::ifstream file(fmt::format("/proc/{}/statm", server_->pid()));
    std::size_t size = 0;
    std::size_t resident = 0;
    file >> size >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  }

  int StopAndWait(int signal) { return server_->Stop(signal).exit_code; }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_.path() / name; }

  // A token file that only its owner can read.
  std::string MakeTokenFile(const std::string& text) {
    WriteText(path("token"), text);
    EXPECT_EQ(::chmod(path("token").c_str(), 0600), 0);
    return path("token");
  }

  TemporaryFolder folder_;
  std::unique_ptr<ServerProcess> server_;
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

TEST_F(DcnPs, AdmitsAnotherJobOnceTheLeaseOfALostOneIsOver) {
  using std::chrono::steady_clock;
  constexpr std::chrono::seconds kLease(4);  // longer than a rank may be gone for
  Start({"--lease", fmt::format("{}", kLease.count())});
  std::optional<RawClient> lost(std::in_place, port());
  ASSERT_TRUE(lost->SayHello(Worker(), 1).ok());
  const auto loss = steady_clock::now();
  lost.reset();
  ps::Hello other = Worker();
  other.job = "y";
  std::string refusal;
  while (true) {
    RawClient worker(port());
    const auto welcome = worker.SayHello(other, 2);
    if (welcome.ok()) break;
    refusal = welcome.status().message();
    ASSERT_EQ(welcome.status().code(), StatusCode::kUnavailable) << refusal;
    ASSERT_THAT(refusal, HasSubstr("busy with job 'x'"));
    ASSERT_LT(steady_clock::now() - loss, std::chrono::seconds(60));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_GE(steady_clock::now() - loss, kLease);
  EXPECT_THAT(refusal, HasSubstr("a rank was lost"));
}

#ifndef DCN_SANITIZED  // which puts more around every allocation
TEST_F(DcnPs, KeepsLittleMoreThanTheRowsAndNothingOfARequest) {
  constexpr std::size_t kDimension = 32;
  constexpr std::size_t kBatch = 20'000;
  // 600,000 rows: midway between two growths of the index, which doubles. (Ten million are counted
  // by benchmarks/server_memory.cc.)
  constexpr std::size_t kBatches = 30;
  constexpr std::size_t kRequests = 20'000;
  Start();
  RawClient worker(port());
  ASSERT_TRUE(worker.SayHello(Worker(), 1).ok());
  const std::vector<ps::TableDefinition> tables = {
      {"embedding/movie_id", kDimension, {.seed = 1}, ps::AdamOptions{}}};
  ASSERT_EQ(
      worker.Ask(ps::MessageType::kCreateTables, ps::testing::CreateTablesBody(0, tables)).type,
      ps::MessageType::kDone);
  std::vector<ps::Key> keys(kBatch);
  const std::vector<float> values(kBatch * kDimension, 0.5F);
  const auto assign = [&](std::size_t batch) {
    std::iota(keys.begin(), keys.end(), batch * kBatch);
    ps::Body body;
    ps::EncodeAssign(0, 0, keys, values, body);
    ASSERT_EQ(worker.Ask(ps::MessageType::kAssign, body).type, ps::MessageType::kDone);
  };
  assign(0);
  const std::size_t first = resident_bytes();
  for (std::size_t batch = 1; batch < kBatches; ++batch) assign(batch);
  const std::size_t full = resident_bytes();
  constexpr double kPayload = 3 * kDimension * sizeof(float);  // weights and two moments
  constexpr double kMoreRows = (kBatches - 1) * kBatch;
  const double per_row = static_cast<double>(full - first) / kMoreRows;
  EXPECT_GE(per_row, kPayload);
  EXPECT_LE(per_row, 1.15 * kPayload);

  std::vector<float> pulled(64 * kDimension);
  const std::vector<ps::RowsToPull> pull = {{0, std::span(keys).first(64), pulled}};
  const ps::Body request = ps::testing::PullBody(0, pull);
  for (std::size_t i = 0; i < kRequests; ++i) {
    ASSERT_EQ(worker.Ask(ps::MessageType::kPull, request).type, ps::MessageType::kRows);
  }
  // Less than a request's id and a pointer each.
  EXPECT_LE(static_cast<double>(resident_bytes()) - static_cast<double>(full), 16.0 * kRequests);
}
#endif

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

// A lost server (4), not an input that is bad (3).
TEST_F(DcnPs, StatusNamesAnAddressWhereSomethingElseListens) {
  ps::Body welcome;
  ps::Encode(ps::Welcome{.incarnation = 1, .shards = 1, .last_epoch = 0}, welcome);
  const auto welcome_and = [&](const ps::Body& body) {
    return FrameText(ps::MessageType::kWelcome, welcome) +
           FrameText(ps::MessageType::kStatus, body);
  };
  ps::Body no_json;
  ps::EncodeText("{", no_json);
  ps::Body other_version;
  ps::EncodeText("{}", other_version);
  struct Case {
    std::string bytes;
    std::string text;
  };
  const std::vector<Case> cases = {
      {"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "no frame"},
      {FrameText(ps::MessageType::kPong, {}), "answers hello with pong"},
      {FrameText(ps::MessageType::kFailure, {}), "failure"},
      {welcome_and({}), "status"},
      {welcome_and(no_json), "JSON"},
      {welcome_and(other_version) + FrameText(ps::MessageType::kStatus, other_version), "key"}};
  for (const Case& test : cases) {
    const Stranger stranger(test.bytes);
    const CommandResult status = Run({"--status", stranger.address()});
    EXPECT_EQ(status.exit_code, 4) << status.err;
    EXPECT_THAT(status.err, AllOf(HasSubstr(stranger.address()), HasSubstr(test.text)));
  }
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
  EXPECT_THAT(server_->log(), Not(HasSubstr("sesame")));
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
  WriteText(path("lease.toml"), "shards = 3\nlease = nan\n");
  EXPECT_THAT(Run({"--config", path("lease.toml")}).err,
              HasSubstr("lease.toml:2: --lease: nan is not a number in 0 .. 1000000"));
  WriteText(path("ps.toml"), "shrads = 3\n");
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"--shards", "0"},
                                                    {"--lease", "-1"},
                                                    {"--lease", "nan"},
                                                    {"--lease", "inf"},
                                                    {"--checkpoint-root", path("absent")},
                                                    {"--checkpoint-root", path("ps.toml")},
                                                    {"--listen", "here"},
                                                    {"--status", "here"},
                                                    {"--log-level", "loud"},
                                                    {"--surprise"},
                                                    {"--config", path("ps.toml")},
                                                    {"--config", path("absent.toml")}}) {
    const CommandResult refused = Run(arguments);
    EXPECT_EQ(refused.exit_code, 2) << arguments[0] << refused.err;
    EXPECT_TRUE(refused.err.starts_with("dcn_ps: ")) << refused.err;
    EXPECT_THAT(refused.err, HasSubstr(arguments[0] == "--config" ? arguments[1] : arguments[0]));
  }
  EXPECT_THAT(Run({"--help"}).out, AllOf(HasSubstr("--listen"), HasSubstr("--lease")));
  EXPECT_THAT(Run({"--version"}).out, HasSubstr("dcn_ps "));
}

}  // namespace
}  // namespace dcn::launch
