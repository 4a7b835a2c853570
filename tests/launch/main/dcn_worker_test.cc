// dcn_worker from the outside: what it writes, what it refuses and how it says so.

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <signal.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/testing/command.h"
#include "tests/testing/engines.h"
#include "tests/testing/first_step.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::launch {
namespace {

using testing::CommandResult;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ReadText;
using testing::TemporaryFolder;
using testing::WriteText;

class DcnWorker : public ::testing::Test {
 protected:
  static CommandResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), testing::BuiltProgram("dcn_worker"));
    return testing::RunCommand(arguments);
  }

  // Options of a run that takes a fraction of a second.
  std::vector<std::string> SmallRun(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {
        "--data", "synthetic-small", "--batch-size", "1000", "--slice-rows", "64", "--max-steps",
        "5"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  nlohmann::json Result(const std::string& folder = "out") const {
    return nlohmann::json::parse(ReadText(path(folder) / "result.json"));
  }

  [[nodiscard]] std::filesystem::path path(const std::string& name) const {
    return folder_.path() / name;
  }

  // A folder in MovieLens-1M's format with these ratings, and users 1 and 2.
  std::string MakeData(const std::string& ratings) const {
    const auto folder = path("data");
    std::filesystem::create_directory(folder);
    WriteText(folder / "ratings.dat", ratings);
    WriteText(folder / "users.dat", "1::F::1::10::48067\n2::M::56::16::70072\n");
    return folder;
  }

  // Refused with this exit code and text, one line on stderr, and no output folder.
  void ExpectRefused(const std::vector<std::string>& arguments, int exit_code,
                     const std::vector<std::string>& texts) const {
    const CommandResult result = Run(arguments);
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    for (const std::string& text : texts) EXPECT_THAT(result.err, HasSubstr(text));
    // One message, the last line; log lines may stand before it.
    const std::size_t message = result.err.find("dcn_worker: ");
    ASSERT_NE(message, std::string::npos) << result.err;
    EXPECT_EQ(result.err.find('\n', message), result.err.size() - 1) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_FALSE(std::filesystem::exists(path("out") / "result.json"));
    EXPECT_FALSE(std::filesystem::exists(path("out") / "model.safetensors"));
  }

  TemporaryFolder folder_;
};

TEST_F(DcnWorker, WritesResultModelVocabularyAndPredictions) {
  const CommandResult run = Run(SmallRun({"--output", path("out"), "--predictions"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const nlohmann::json result = Result();
  EXPECT_EQ(result["model"], "dcn");
  EXPECT_EQ(result["seed"], 1);
  EXPECT_EQ(result["steps"], 5);
  EXPECT_EQ(result["workers"], 1);
  EXPECT_EQ(result["slice_rows"], 64);
  EXPECT_EQ(result["precision"], "fp32");
  EXPECT_EQ(result["engine"], "onednn");
  EXPECT_EQ(result["data"]["name"], "synthetic");
  EXPECT_EQ(result["loss_curve"].size(), 5U);
  EXPECT_EQ(result["epochs"].size(), 1U);
  EXPECT_GT(result["train_rows_per_second"].get<double>(), 0);
  EXPECT_GT(result["peak_rss_bytes"].get<std::uint64_t>(), 1'000'000U);
  EXPECT_THAT(run.out, HasSubstr(result["parameter_digest"].get<std::string>()));
  const std::string predictions = ReadText(path("out") / "predictions.csv");
  EXPECT_TRUE(predictions.starts_with("user_id,movie_id,rating,prediction\n"));
  EXPECT_EQ(static_cast<std::uint64_t>(std::count(predictions.begin(), predictions.end(), '\n')),
            1 + result["data"]["test_rows"].get<std::uint64_t>());
  EXPECT_TRUE(std::filesystem::exists(path("out") / "model.safetensors"));
  EXPECT_TRUE(std::filesystem::exists(path("out") / "vocabulary.json"));
}

TEST_F(DcnWorker, SaysHowFarItIsInPlainLines) {
  const CommandResult run = Run(SmallRun({"--output", path("out")}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.err,
              ContainsRegex("epoch 1  step 5/5  loss [0-9.]+  [0-9]+ rows/s  0.0 s left\n"));
  EXPECT_THAT(run.err, Not(HasSubstr("\x1b")));
  EXPECT_THAT(run.err, Not(HasSubstr("\r")));
  const CommandResult quiet = Run(SmallRun({"--output", path("out"), "--log-level", "warning"}));
  EXPECT_THAT(quiet.err, Not(HasSubstr("rows/s")));
}

TEST_F(DcnWorker, GivesOneDigestForAnyThreadsAndShards) {
  ASSERT_EQ(Run(SmallRun({"--output", path("out")})).exit_code, 0);
  const auto digest = Result()["parameter_digest"];
  for (const char* threads : {"1", "3"}) {
    for (const char* shards : {"1", "5"}) {
      ASSERT_EQ(Run(SmallRun({"--output", path("out"), "--threads", threads, "--shards", shards}))
                    .exit_code,
                0);
      EXPECT_EQ(Result()["parameter_digest"], digest) << threads << " threads, " << shards;
    }
  }
  ASSERT_EQ(Run(SmallRun({"--output", path("other"), "--seed", "2"})).exit_code, 0);
  EXPECT_NE(Result("other")["parameter_digest"], digest);
}

TEST_F(DcnWorker, HasTheSameFirstGradientsWithEitherEngine) {
  DCN_SKIP_WITHOUT_ENGINE("torch");
  for (const char* model : {"dcn", "dcn-lowrank", "dnn"}) {
    SCOPED_TRACE(model);
    const auto gradients = [&](const std::string& engine) {
      return testing::FirstStepGradients(
          {"--data", "synthetic-small", "--batch-size", "1000", "--slice-rows", "64", "--model",
           model, "--engine", engine},
          path(engine + model));
    };
    testing::ExpectGradientsAgree(gradients("torch"), gradients("onednn"), 1e-5);
  }
}

TEST_F(DcnWorker, TrainsAnyModelOfAConfigurationFile) {
  WriteText(path("run.toml"),
            "data = 'synthetic-small'\nbatch-size = 1000\nmax-steps = 3\nseed = 5\n"
            "[model]\nname = 'mine'\nembedding-dimension = { user_id = 9, user_gender = 2 }\n"
            "deep = [11]\n"
            "[[model.cross]]\nprojection-dimension = 3\npreactivation = 'tanh'\n"
            "[[model.cross]]\ndiag-scale = 0.5\n");
  const CommandResult run =
      Run({"--config", path("run.toml"), "--output", path("out"), "--seed", "6"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const nlohmann::json result = Result();
  EXPECT_EQ(result["model"], "mine");
  EXPECT_EQ(result["seed"], 6) << "the command line wins";
  const nlohmann::json& model = result["configuration"]["model"];
  EXPECT_EQ(model["deep"], nlohmann::json::array({11}));
  EXPECT_EQ(model["cross"].size(), 2U);
  EXPECT_EQ(model["cross"][0]["preactivation"], "tanh");
  EXPECT_EQ(model["features"][0]["dimension"], 32);
  EXPECT_EQ(model["features"][1]["dimension"], 9);
}

TEST_F(DcnWorker, RefusesBadOptions) {
  const std::string out = path("out");
  ExpectRefused({}, 2, {"--data", "missing"});
  ExpectRefused(SmallRun({"--config", path("absent.toml")}), 2,
                {"--config", path("absent.toml"), "no such file"});
  ExpectRefused(SmallRun({"--output", out, "--epochs", "0"}), 2, {"--epochs", "0", "1"});
  ExpectRefused(SmallRun({"--output", out, "--epochs", "many"}), 2, {"--epochs", "many"});
  ExpectRefused(SmallRun({"--output", out, "--model", "dnc"}), 2, {"--model", "dnc", "lowrank"});
  ExpectRefused(SmallRun({"--output", out, "--batch-size", "0"}), 2, {"--batch-size"});
  ExpectRefused(SmallRun({"--output", out, "--slice-rows", "0"}), 2, {"--slice-rows"});
  ExpectRefused(SmallRun({"--output", out, "--threads", "-1"}), 2, {"--threads"});
  ExpectRefused(SmallRun({"--output", out, "--learning-rate", "0"}), 2, {"--learning-rate", "0"});
  ExpectRefused(SmallRun({"--output", out, "--learning-rate", "nan"}), 2, {"--learning-rate"});
  ExpectRefused(SmallRun({"--output", out, "--train-fraction", "1"}), 2, {"--train-fraction"});
  ExpectRefused(SmallRun({"--output", out, "--optimizer", "adamw"}), 2, {"--optimizer", "adamw"});
  ExpectRefused(SmallRun({"--output", out, "--precision", "fp8"}), 2, {"--precision", "fp8"});
  ExpectRefused(SmallRun({"--output", out, "--log-level", "loud"}), 2,
                {"--log-level", "loud", "warning"});
  ExpectRefused(SmallRun({"--output", out, "--trace", path("absent/trace.json")}), 2,
                {"--trace: cannot write", path("absent/trace.json")});
  ExpectRefused(SmallRun({"--output", out, "--sead", "1"}), 2, {"--sead"});
  for (const char* const option : {"--seed", "--max-steps", "--checkpoint-every"}) {
    for (const char* const wrong :
         {"-1", "18446744073709551616", "99999999999999999999999", "1.5"}) {
      ExpectRefused(SmallRun({"--output", out, option, wrong}), 2,
                    {option, wrong, "is not a whole number in 0 .. 18446744073709551615"});
    }
  }
  for (const char* const option :
       {"--connect-timeout", "--request-timeout", "--learning-rate", "--train-fraction"}) {
    for (const char* const wrong : {"nan", "inf", "-1"}) {
      ExpectRefused(SmallRun({"--output", out, option, wrong}), 2, {option, wrong});
    }
  }
  ExpectRefused(SmallRun({"--predictions"}), 2, {"--predictions", "--output"});
}

TEST_F(DcnWorker, RefusesBadConfigurationFilesByLine) {
  const std::string config = path("run.toml");
  const auto refuse = [&](const std::string& text, const std::vector<std::string>& expected) {
    WriteText(config, text);
    ExpectRefused({"--config", config, "--data", "synthetic-small", "--output", path("out")}, 2,
                  expected);
  };
  refuse("seed = 1\nepoch = 2\n", {config + ":2", "epoch"});
  refuse("seed = \n", {config + ":1"});
  refuse("seed = [1, 2]\n", {config + ":1", "seed", "one value"});
  refuse("seed = 1\nepochs = 0\n", {config + ":2", "--epochs", "1 .. 1000000"});
  refuse("seed = 1\nrequest-timeout = nan\n", {config + ":2", "--request-timeout", "nan"});
  refuse("[model]\nwidth = 3\n", {config + ":2", "model.width", "embedding-dimension"});
  refuse("[model]\ndeep = [1, 0]\n", {config + ":2", "model.deep", "1 .. 65536"});
  refuse("[[model.cross]]\ndiag-scale = -1\n", {config + ":2", "diag-scale"});
  refuse("[[model.cross]]\npreactivation = 'gelu'\n", {config + ":2", "preactivation", "tanh"});
  refuse("[model]\nembedding-dimension = { genre = 3 }\n", {"genre", "no such feature"});
  ExpectRefused({"--config", path("none.toml"), "--data", "synthetic-small"}, 2, {"none.toml"});
}

TEST_F(DcnWorker, RefusesBadDataByFileAndLine) {
  const std::string good = "1::10::3::0\n2::11::4::0\n1::12::5::0\n2::12::1::0\n";
  const auto refuse = [&](const std::string& ratings, const std::vector<std::string>& expected) {
    ExpectRefused({"--data", MakeData(ratings), "--output", path("out")}, 3, expected);
  };
  refuse("", {"ratings.dat"});
  refuse(good + "1::13\n", {"ratings.dat:5"});
  refuse(good + "1::13::9::0\n", {"ratings.dat:5", "9"});
  refuse(good + "3::13::4::0\n", {"ratings.dat:5", "3", "users.dat"});
  refuse(std::string("\x7f"
                     "ELF\0\x01\xff\xfe\n",
                     9),
         {"ratings.dat:1"});
  ExpectRefused({"--data", path("nowhere"), "--output", path("out")}, 3, {"nowhere"});
  for (const char* const file : {"ratings.dat", "users.dat", "synthetic.json"}) {
    const std::filesystem::path data = MakeData(good);
    std::filesystem::remove(data / file);
    std::filesystem::create_directory(data / file);
    ExpectRefused({"--data", data, "--output", path("out")}, 3, {file, "it is a folder"});
    std::filesystem::remove(data / file);
    ASSERT_EQ(::mkfifo((data / file).c_str(), 0600), 0);
    ExpectRefused({"--data", data, "--output", path("out")}, 3, {file, "pipe"});
    std::filesystem::remove(data / file);
  }
  std::filesystem::create_directory(path("empty"));
  ExpectRefused({"--data", path("empty"), "--output", path("out")}, 3, {"ratings.dat", "u.data"});
}

TEST_F(DcnWorker, WarnsOfALastLineThatMayBeCutOff) {
  const std::string whole =
      "1::10::3::978300760\n2::11::4::978300760\n1::12::5::978300760\n2::10::2::978300760\n";
  const auto warnings = [&](const std::string& ratings) {
    const CommandResult run =
        Run({"--data", MakeData(ratings), "--epochs", "1", "--data-cache", path("cache")});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return run.err;
  };
  EXPECT_THAT(warnings(whole), Not(HasSubstr("line end")));
  for (int time = 0; time < 2; ++time) {  // the second time from the cache
    EXPECT_THAT(warnings(whole + "2::12::1::9783"),
                HasSubstr("ratings.dat:5: the last line has no line end"));
  }
}

TEST_F(DcnWorker, SaysWhatHelpsWhereTrainingDiverges) {
  ExpectRefused(SmallRun({"--learning-rate", "1000", "--optimizer", "sgd"}), 2,
                {"the training diverges; a smaller --learning-rate may help"});
}

TEST_F(DcnWorker, RefusesAnOutputThatCannotBeWritten) {
  WriteText(path("file"), "no folder");
  ExpectRefused(SmallRun({"--output", path("file") / "out"}), 2, {path("file").string()});
  EXPECT_EQ(ReadText(path("file")), "no folder");
}

TEST_F(DcnWorker, RefusesTheOutputOfAnotherConfiguration) {
  ASSERT_EQ(Run(SmallRun({"--output", path("out")})).exit_code, 0);
  const std::string before = ReadText(path("out") / "result.json");
  const CommandResult other = Run(SmallRun({"--output", path("out"), "--seed", "2"}));
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("seed"));
  EXPECT_EQ(ReadText(path("out") / "result.json"), before);
  EXPECT_EQ(Run(SmallRun({"--output", path("out")})).exit_code, 0) << "the same may run again";
}

TEST_F(DcnWorker, StopsAtASignalWithoutAResult) {
  const auto log = path("log");
  testing::RunningCommand run({testing::BuiltProgram("dcn_worker"), "--data", "synthetic-small",
                               "--epochs", "100000", "--output", path("out")},
                              log);
  // The line about the data stands there once training is about to begin.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (ReadText(log).find("ratings") == std::string::npos) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << ReadText(log);
    ::usleep(10'000);
  }
  run.Signal(SIGINT);
  EXPECT_EQ(run.Wait().exit_code, 6);
  EXPECT_THAT(ReadText(log), HasSubstr("stopped"));
  EXPECT_FALSE(std::filesystem::exists(path("out") / "result.json"));
  EXPECT_FALSE(std::filesystem::exists(path("out") / "model.safetensors"));
}

TEST_F(DcnWorker, ExplainsItself) {
  const CommandResult help = Run({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* option : {"--config", "--data", "--model", "--seed", "--epochs", "--max-steps",
                             "--batch-size", "--learning-rate", "--train-fraction", "--optimizer",
                             "--precision", "--threads", "--shards", "--slice-rows", "--engine",
                             "--device", "--output", "--predictions", "--log-level"}) {
    EXPECT_THAT(help.out, HasSubstr(option));
  }
  const CommandResult version = Run({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out, HasSubstr("dcn_worker "));
}

// Python with numpy, nothing of ours, reads the model and recomputes every prediction.
TEST_F(DcnWorker, WritesAModelThatNumpyCanRead) {
  if (testing::RunCommand({"python3", "-c", "import numpy"}).exit_code != 0) {
    GTEST_SKIP() << "python3 with numpy is not installed: the exported model is not recomputed";
  }
  WriteText(path("mine.toml"),
            "[model]\nname = 'mine'\nembedding-dimension = { user_id = 9, user_gender = 2 }\n"
            "deep = [11, 5]\n[[model.cross]]\nprojection-dimension = 3\npreactivation = 'relu'\n"
            "[[model.cross]]\ndiag-scale = 0.5\n");
  const std::string script =
      std::string(std::getenv("DCN_SOURCE_DIR")) + "/tests/launch/main/recompute_predictions.py";
  const std::vector<std::vector<std::string>> models = {{"--model", "dcn"},
                                                        {"--model", "dcn-lowrank"},
                                                        {"--model", "dnn"},
                                                        {"--config", path("mine.toml")}};
  ASSERT_EQ(testing::RunCommand(
                {testing::BuiltProgram("dcn_data"), "synthesize", path("data"), "--size", "small"})
                .exit_code,
            0);
  for (std::size_t i = 0; i < models.size(); ++i) {
    const std::string out = path("out" + std::to_string(i));
    std::vector<std::string> arguments = SmallRun({"--output", out, "--predictions"});
    arguments.insert(arguments.end(), models[i].begin(), models[i].end());
    ASSERT_EQ(Run(arguments).exit_code, 0);
    const CommandResult numpy = testing::RunCommand({"python3", script, out, path("data")});
    EXPECT_EQ(numpy.exit_code, 0) << numpy.out << numpy.err;
    EXPECT_THAT(numpy.out, HasSubstr("largest difference"));
  }
}

}  // namespace
}  // namespace dcn::launch
