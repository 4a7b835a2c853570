// Several processes train one model: with the bits of one process, or not at all.

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/testing/command.h"
#include "tests/testing/distributed_run.h"
#include "tests/testing/engines.h"
#include "tests/testing/server_process.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::launch {
namespace {

using ::testing::AllOf;
using testing::CommandResult;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ReadText;
using testing::ServerProcess;
using testing::TemporaryFolder;
using testing::WriteText;

class Distributed : public ::testing::Test {
 protected:
  // 15,000 training rows in batches of 13 leaves with a short last one of 8: ranks without leaves.
  static std::vector<std::string> SmallRun(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {
        "--data", "synthetic-small", "--batch-size", "1600",      "--slice-rows",
        "128",    "--max-steps",     "12",           "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  static CommandResult Run(int ranks, const std::vector<std::string>& arguments) {
    return testing::RunCommand(testing::WorkerCommandLine(ranks, arguments));
  }

  static std::string DigestOf(int ranks, const std::vector<std::string>& arguments) {
    const CommandResult run = Run(ranks, arguments);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    const std::string digest = testing::DigestIn(run.out);
    EXPECT_EQ(digest.size(), 32U) << run.out;
    return digest;
  }

  // Starts `count` servers; returns what --servers takes.
  std::string StartServers(int count, const std::vector<std::string>& arguments = {}) {
    std::string addresses;
    for (int i = 0; i < count; ++i) {
      servers_.push_back(std::make_unique<ServerProcess>(
          folder_.path(), "server" + std::to_string(servers_.size()), arguments));
      addresses += (i == 0 ? "" : ",") + servers_.back()->address();
    }
    return addresses;
  }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_.path() / name; }

  [[nodiscard]] nlohmann::json ReadResult(const std::string& folder) const {
    return nlohmann::json::parse(ReadText(path(folder) + "/result.json"));
  }

  TemporaryFolder folder_;
  std::vector<std::unique_ptr<ServerProcess>> servers_;
};

TEST_F(Distributed, AnyRanksAndShardsInsideHaveTheBitsOfOneProcess) {
  const std::string digest = DigestOf(0, SmallRun());
  for (const int ranks : {1, 2, 3, 4}) {
    for (const char* shards : {"1", "2"}) {
      EXPECT_EQ(DigestOf(ranks, SmallRun({"--shards", shards})), digest)
          << ranks << " ranks, " << shards << " shards each";
    }
  }
  EXPECT_EQ(DigestOf(2, SmallRun({"--threads", "3"})), digest);
  EXPECT_NE(DigestOf(2, SmallRun({"--seed", "2"})), digest);
}

TEST_F(Distributed, AnyRanksAndServersHaveTheBitsOfOneProcess) {
  const std::string digest = DigestOf(0, SmallRun());
  for (const int servers : {1, 2, 3}) {
    const std::string addresses = StartServers(servers, {"--shards", servers == 2 ? "2" : "1"});
    for (const int ranks : {0, 2, 3}) {
      EXPECT_EQ(DigestOf(ranks, SmallRun({"--servers", addresses})), digest)
          << ranks << " ranks, " << servers << " servers";
    }
  }
}

TEST_F(Distributed, EveryOptimizerHasTheBitsOfOneProcess) {
  const std::string server = StartServers(1);
  for (const char* optimizer : {"lazy-adam", "adagrad", "sgd"}) {
    const std::string digest = DigestOf(0, SmallRun({"--optimizer", optimizer}));
    EXPECT_EQ(DigestOf(3, SmallRun({"--optimizer", optimizer})), digest) << optimizer;
    EXPECT_EQ(DigestOf(2, SmallRun({"--optimizer", optimizer, "--servers", server})), digest)
        << optimizer;
  }
}

TEST_F(Distributed, Bf16HasTheBitsOfOneProcessWithAnyRanksAndServers) {
  DCN_SKIP_WITHOUT_ENGINE(testing::kBf16Engine);
  const std::string digest = DigestOf(0, SmallRun({"--precision", "bf16"}));
  EXPECT_NE(digest, DigestOf(0, SmallRun()));
  const std::string servers = StartServers(2, {"--shards", "2"});
  for (const int ranks : {0, 2, 3}) {
    EXPECT_EQ(DigestOf(ranks, SmallRun({"--precision", "bf16", "--servers", servers})), digest)
        << ranks << " ranks";
  }
}

TEST_F(Distributed, WritesTheSameFilesAsOneProcess) {
  ASSERT_EQ(Run(0, SmallRun({"--output", path("one"), "--predictions"})).exit_code, 0);
  const std::string server = StartServers(1, {"--shards", "2"});
  ASSERT_EQ(Run(3, SmallRun({"--output", path("three"), "--predictions"})).exit_code, 0);
  ASSERT_EQ(
      Run(2, SmallRun({"--output", path("two"), "--predictions", "--servers", server})).exit_code,
      0);
  for (const char* file : {"model.safetensors", "vocabulary.json", "predictions.csv"}) {
    EXPECT_EQ(ReadText(path("three") + "/" + file), ReadText(path("one") + "/" + file)) << file;
    EXPECT_EQ(ReadText(path("two") + "/" + file), ReadText(path("one") + "/" + file)) << file;
  }
  const nlohmann::json one = ReadResult("one");
  EXPECT_EQ(one["workers"], 1);
  EXPECT_EQ(one["servers"], 1);
  EXPECT_EQ(one["bytes_sent"], 0);
  EXPECT_FALSE(one["versions"].contains("mpi"));
  const nlohmann::json three = ReadResult("three");
  EXPECT_EQ(three["workers"], 3);
  EXPECT_EQ(three["servers"], 3);
  EXPECT_EQ(three["shards"], 3);
  EXPECT_GT(three["bytes_sent"].get<std::uint64_t>(), 1'000'000U);
  EXPECT_THAT(three["versions"]["mpi"].get<std::string>(), HasSubstr("MPI"));
  const nlohmann::json two = ReadResult("two");
  EXPECT_EQ(two["workers"], 2);
  EXPECT_EQ(two["servers"], 1);
  EXPECT_EQ(two["shards"], 2);
  EXPECT_GT(two["bytes_received"].get<std::uint64_t>(), 1'000'000U);
  for (const char* field : {"test_rmse", "loss_curve", "configuration", "parameter_count"}) {
    EXPECT_EQ(three[field], one[field]) << field;
    EXPECT_EQ(two[field], one[field]) << field;
  }
}

// The moments [begin, end) of the events of that name, in microseconds, by rank and step.
std::map<std::pair<int, int>, std::vector<std::pair<double, double>>> SpansOf(
    const nlohmann::json& trace, const std::string& name) {
  std::map<std::pair<int, int>, std::vector<std::pair<double, double>>> spans;
  for (const nlohmann::json& event : trace["traceEvents"]) {
    if (event["ph"] != "X" || event["name"] != name) continue;
    const double begin = event["ts"].get<double>();
    spans[{event["pid"].get<int>(), event["args"]["step"].get<int>()}].emplace_back(
        begin, begin + event["dur"].get<double>());
  }
  return spans;
}

TEST_F(Distributed, TraceShowsThePushPullUnderTheDenseCombinationOnEveryRank) {
  const std::string digest = DigestOf(0, SmallRun());
  EXPECT_EQ(DigestOf(2, SmallRun({"--trace", path("trace.json")})), digest);
  const auto trace = nlohmann::json::parse(ReadText(path("trace.json")));
  const auto combinations = SpansOf(trace, "dense combination");
  const auto requests = SpansOf(trace, "push-pull");
  EXPECT_EQ(combinations.size(), 2U * 12U);
  ASSERT_EQ(requests.size(), 2U * 12U);
  const auto waits = SpansOf(trace, "wait for shards");
  for (const auto& [key, spans] : requests) {
    EXPECT_EQ(spans.size(), 2U) << "one for each shard";
    ASSERT_EQ(combinations.count(key), 1U);
    const auto [begin, end] = combinations.at(key)[0];
    for (const auto& [sent, answered] : spans) {
      EXPECT_LT(sent, begin) << "rank " << key.first << ", step " << key.second;
      EXPECT_GE(answered, sent) << "rank " << key.first << ", step " << key.second;
    }
    EXPECT_GE(waits.at(key)[0].first, end) << "answers are waited for after the combination only";
  }
  // Batches are planned while others are computed, each once.
  const auto plans = SpansOf(trace, "plan");
  const auto steps = SpansOf(trace, "step");
  for (const auto& [key, spans] : plans) {
    EXPECT_GE(spans[0].first, steps.at(key)[0].first);
    EXPECT_LE(spans[0].second, steps.at(key)[0].second);
  }
}

TEST_F(Distributed, TraceOfOneProcessHasARowForEachThreadAndShard) {
  ASSERT_EQ(Run(0, SmallRun({"--threads", "2", "--shards", "3", "--trace", path("trace.json")}))
                .exit_code,
            0);
  const auto trace = nlohmann::json::parse(ReadText(path("trace.json")));
  std::vector<std::string> rows;
  for (const nlohmann::json& event : trace["traceEvents"]) {
    if (event["name"] == "thread_name") rows.push_back(event["args"]["name"]);
  }
  EXPECT_EQ(rows,
            (std::vector<std::string>{"thread 0", "thread 1", "shard 0", "shard 1", "shard 2"}));
  EXPECT_EQ(SpansOf(trace, "slice").size(), 12U);
  // Ten batches, two of them planned before the first step: nothing is planned twice, nor called to
  // be planned, which keeps a step from computing leaves in pairs.
  EXPECT_EQ(SpansOf(trace, "plan").size(), 8U);
}

TEST_F(Distributed, NamesATraceFileThatCannotBeWrittenBeforeItTrains) {
  for (const int ranks : {0, 2}) {
    const CommandResult run =
        Run(ranks, SmallRun({"--trace", path("absent") + "/trace.json", "--max-steps", "0"}));
    EXPECT_EQ(run.exit_code, 2) << run.err;
    EXPECT_THAT(run.err, AllOf(HasSubstr(path("absent")), Not(HasSubstr("step"))));
    EXPECT_EQ(run.out, "");
  }
}

TEST_F(Distributed, ServersAreFreeForTheNextRunWhenOneHasEnded) {
  const std::string server = StartServers(1);
  const std::string first = DigestOf(2, SmallRun({"--servers", server, "--job", "a"}));
  EXPECT_EQ(DigestOf(2, SmallRun({"--servers", server, "--job", "a"})), first);
  EXPECT_EQ(DigestOf(0, SmallRun({"--servers", server, "--job", "another"})), first);
  const CommandResult status =
      testing::RunCommand({testing::BuiltProgram("dcn_ps"), "--status", server});
  EXPECT_THAT(status.out, AllOf(HasSubstr("another (ended), epoch 3"), HasSubstr("1 through")));
}

TEST_F(Distributed, PrintsAnErrorOfAllRanksOnce) {
  const auto refuse = [](const std::vector<std::string>& arguments, int code,
                         const std::string& text) {
    const CommandResult run = Run(3, arguments);
    EXPECT_EQ(run.exit_code, code) << run.err;
    const std::size_t first = run.err.find(text);
    ASSERT_NE(first, std::string::npos) << run.err;
    EXPECT_EQ(run.err.find(text, first + 1), std::string::npos) << run.err;
  };
  refuse({"--data", "synthetic-small", "--epochs", "0"}, 2, "--epochs");
  refuse({"--data", path("absent")}, 3, path("absent"));
  const CommandResult help = Run(2, {"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_EQ(help.out.find("--servers"), help.out.rfind("--servers"));
}

TEST_F(Distributed, RefusesRanksThatWouldNotTrainTheSame) {
  std::string ratings;
  for (int movie = 1; movie <= 10; ++movie) ratings += fmt::format("1::{}::5::97830076\n", movie);
  WriteText(path("ratings.dat"), ratings);
  WriteText(path("users.dat"), "1::F::1::10::48067\n2::M::56::16::70072\n");
  const std::vector<std::vector<std::vector<std::string>>> pairs = {
      {SmallRun(), SmallRun({"--seed", "2"}), {"seed: 1 on rank 0, 2 on rank 1"}},
      {SmallRun(), SmallRun({"--slice-rows", "64"}), {"slice_rows: 128 on rank 0, 64 on rank 1"}},
      {SmallRun(), SmallRun({"--data", path("")}), {"data.fingerprint", "data.name"}},
      {SmallRun({"--servers", "127.0.0.1:1"}), SmallRun(), {"servers"}},
      {SmallRun({"--trace", path("trace.json")}), SmallRun(), {"traced: true on rank 0"}},
      {SmallRun(), {"--help"}, {"trains: true on rank 0, false on rank 1"}},
  };
  for (const auto& pair : pairs) {
    const CommandResult run = testing::RunCommand(testing::TwoRanks(
        testing::WorkerCommandLine(0, pair[0]), testing::WorkerCommandLine(0, pair[1])));
    EXPECT_EQ(run.exit_code, 2) << run.err;
    for (const std::string& text : pair[2]) EXPECT_THAT(run.err, HasSubstr(text));
  }
}

// Two ranks, of which the second has this in its environment.
CommandResult RunWithOddRank(const std::string& variable,
                             const std::vector<std::string>& arguments) {
  const std::vector<std::string> command = testing::WorkerCommandLine(0, arguments);
  std::vector<std::string> odd = command;
  odd.insert(odd.begin(), {"env", variable});
  return testing::RunCommand(testing::TwoRanks(command, odd));
}

TEST_F(Distributed, RefusesRanksThatComputeWithOtherInstructions) {
  const CommandResult run = RunWithOddRank("ONEDNN_MAX_CPU_ISA=SSE41", SmallRun());
  EXPECT_EQ(run.exit_code, 2) << run.err;
  EXPECT_THAT(run.err, AllOf(HasSubstr("engine_description: "), HasSubstr("(sse41)")));
}

TEST_F(Distributed, RefusesRanksWhoseLibTorchComputesWithOtherInstructions) {
  DCN_SKIP_WITHOUT_ENGINE("torch");
  const CommandResult run =
      RunWithOddRank("ATEN_CPU_CAPABILITY=default", SmallRun({"--engine", "torch"}));
  EXPECT_EQ(run.exit_code, 2) << run.err;
  EXPECT_THAT(run.err, AllOf(HasSubstr("engine_description: "), HasSubstr("on rank 1")));
}

TEST_F(Distributed, RefusesCopiesOfItselfThatMpiDoesNotKnow) {
  std::vector<std::string> command = testing::WorkerCommandLine(0, SmallRun());
  command.insert(command.begin(), {"env", "OMPI_COMM_WORLD_SIZE=2"});
  const CommandResult run = testing::RunCommand(command);
  EXPECT_EQ(run.exit_code, 2) << run.err;
  EXPECT_THAT(run.err, HasSubstr("OMPI_COMM_WORLD_SIZE says 2 processes, and MPI sees 1"));
}

TEST_F(Distributed, NamesTheRankThatFailed) {
  const CommandResult run = testing::RunCommand(
      testing::TwoRanks(testing::WorkerCommandLine(0, SmallRun()),
                        testing::WorkerCommandLine(0, {"--data", path("absent")})));
  EXPECT_EQ(run.exit_code, 3) << run.err;
  EXPECT_THAT(run.err, HasSubstr("dcn_worker: rank 1: "));
}

TEST_F(Distributed, RefusesOptionsThatDoNotGoTogether) {
  const std::vector<std::vector<std::string>> refused = {
      {"--servers", "127.0.0.1:4000", "--shards", "2"},
      {"--token-file", path("token")},
      {"--servers", "here"},
      {"--servers", "127.0.0.1:0"},
      {"--servers", "127.0.0.1:4000,127.0.0.1:4000"},
      {"--servers", "127.0.0.1:4000,"},
      {"--job", ""},
      {"--connect-timeout", "0"},
      {"--request-timeout", "-1"}};
  for (const auto& options : refused) {
    const CommandResult run = Run(0, SmallRun(options));
    EXPECT_EQ(run.exit_code, 2) << options[0] << " " << options[1] << run.err;
    EXPECT_THAT(run.err, HasSubstr(options[0]));
  }
}

TEST_F(Distributed, RefusesOneServerUnderTwoNames) {
  const std::string server = StartServers(1);
  const std::string again = "localhost" + server.substr(server.find(':'));
  const CommandResult run = Run(0, SmallRun({"--servers", server + "," + again}));
  EXPECT_EQ(run.exit_code, 2) << run.err;
  EXPECT_THAT(run.err, AllOf(HasSubstr(server), HasSubstr(again), HasSubstr("one server")));
}

TEST_F(Distributed, TakesServersFromAConfigurationFile) {
  const std::string first = StartServers(1);
  const std::string second = StartServers(1);
  WriteText(path("run.toml"), "servers = ['" + first + "', '" + second + "']\njob = 'of a file'\n");
  EXPECT_EQ(DigestOf(0, SmallRun({"--config", path("run.toml")})), DigestOf(0, SmallRun()));
  const CommandResult status =
      testing::RunCommand({testing::BuiltProgram("dcn_ps"), "--status", second});
  EXPECT_THAT(status.out, HasSubstr("of a file (ended)"));
}

TEST_F(Distributed, ShowsTheTokenToServersThatAskForOne) {
  WriteText(path("token"), "sesame\n");
  std::filesystem::permissions(path("token"), std::filesystem::perms::owner_read);
  WriteText(path("wrong"), "simsim\n");
  std::filesystem::permissions(path("wrong"), std::filesystem::perms::owner_read);
  const std::string server = StartServers(1, {"--token-file", path("token")});
  EXPECT_EQ(DigestOf(2, SmallRun({"--servers", server, "--token-file", path("token")})),
            DigestOf(0, SmallRun()));
  const CommandResult absent =
      Run(2, SmallRun({"--servers", server, "--token-file", path("absent")}));
  EXPECT_EQ(absent.exit_code, 2);
  EXPECT_EQ(absent.err.find(path("absent")), absent.err.rfind(path("absent"))) << absent.err;
  for (const std::vector<std::string>& options :
       {std::vector<std::string>{"--servers", server},
        {"--servers", server, "--token-file", path("wrong")}}) {
    const CommandResult run = Run(2, SmallRun(options));
    EXPECT_EQ(run.exit_code, 2) << run.err;
    EXPECT_THAT(run.err, AllOf(HasSubstr("token"), HasSubstr(server), Not(HasSubstr("sesame"))));
  }
}

}  // namespace
}  // namespace dcn::launch
