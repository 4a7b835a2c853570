// dcn_data from the outside: what it prints, writes, fetches and refuses.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/launch/main/archive_server.h"
#include "tests/testing/command.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using testing::ArchiveServer;
using testing::CommandResult;
using ::testing::HasSubstr;
using testing::ReadText;
using ::testing::StartsWith;
using testing::TemporaryFolder;
using testing::WriteText;

CommandResult DcnData(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), testing::BuiltProgram("dcn_data"));
  return testing::RunCommand(arguments);
}

// Expects a failure with one line on stderr and nothing on stdout.
void ExpectFailure(const CommandResult& result, int exit_code, const std::string& text) {
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, AllOf(StartsWith("dcn_data: "), HasSubstr(text)));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

TEST(DcnDataTest, ListsItsCommandsAndVersion) {
  const CommandResult help = DcnData({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("synthesize"), HasSubstr("fetch"), HasSubstr("describe")));
  const CommandResult fetch_help = DcnData({"fetch", "--help"});
  EXPECT_EQ(fetch_help.exit_code, 0);
  EXPECT_THAT(fetch_help.out, AllOf(HasSubstr("--directory"), HasSubstr("--url")));
  const CommandResult version = DcnData({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out, StartsWith("dcn_data "));
  EXPECT_THAT(help.out, AllOf(HasSubstr("--config"), HasSubstr("--log-level")));
}

TEST(DcnDataTest, TakesOptionsFromAFileAndTheCommandLineWins) {
  const TemporaryFolder folder;
  const std::string file = folder.path() / "data.toml";
  WriteText(file,
            "log-level = \"error\"\n[describe]\njson = true\ntrain-fraction = 0.5\n"
            "[synthesize]\nsize = \"small\"\nseed = 7\n");
  const auto train_rows = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--config", file, "describe", "synthetic-small"});
    const CommandResult result = DcnData(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out).at("split").at("train_rows").get<int>();
  };
  EXPECT_EQ(train_rows({}), 10000);
  EXPECT_EQ(train_rows({"--train-fraction", "0.75"}), 15000);
  // A file holds options of several commands; those of others are passed over.
  const std::string path = folder.path() / "s";
  EXPECT_EQ(DcnData({"--config", file, "synthesize", path}).exit_code, 0);
  EXPECT_EQ(DcnData({"synthesize", path, "--size", "small", "--seed", "7"}).exit_code, 0);
}

TEST(DcnDataTest, RefusesAFileThatItDoesNotUnderstand) {
  const TemporaryFolder folder;
  const auto refuse = [&](const std::string& text, const std::string& named) {
    const std::string file = folder.path() / "data.toml";
    WriteText(file, text);
    ExpectFailure(DcnData({"--config", file, "describe", "synthetic-small"}), 2, named);
  };
  refuse("\ntrian-fraction = 0.5\n", "data.toml:2: unknown key 'trian-fraction'");
  refuse("[describe]\ntrian-fraction = 0.5\n", "data.toml:2: unknown key 'trian-fraction'");
  refuse("[descrieb]\ntrain-fraction = 0.5\n", "data.toml:1: unknown key 'descrieb'");
  refuse("[synthesize]\nseed = -1\n", "data.toml:2: --seed: -1 is not a whole number in 0 .. ");
  refuse("log-level = \"loud\"\n", "data.toml:1: --log-level: unknown log level 'loud'");
  ExpectFailure(DcnData({"--config", (folder.path() / "absent.toml").string(), "describe",
                         "synthetic-small"}),
                2, "absent.toml");
}

TEST(DcnDataTest, RefusesWrongArguments) {
  const TemporaryFolder folder;
  const std::string output = (folder.path() / "new").string();
  ExpectFailure(DcnData({}), 2, "subcommand is required");
  ExpectFailure(DcnData({"frobnicate"}), 2, "--help");
  ExpectFailure(DcnData({"describe"}), 2, "DATA is required");
  ExpectFailure(DcnData({"fetch", "ml-10m"}), 2, "ml-10m");
  ExpectFailure(DcnData({"fetch", "ml-1m", "--md5", "00"}), 2, "--url");
  ExpectFailure(DcnData({"synthesize", output, "--size", "huge"}), 2, "--size");
  for (const char* const seed : {"-1", "18446744073709551616", "1.5", "one"}) {
    ExpectFailure(
        DcnData({"synthesize", output, "--seed", seed}), 2,
        std::string("--seed: ") + seed + " is not a whole number in 0 .. 18446744073709551615");
  }
  for (const char* const part : {"nan", "inf"}) {
    ExpectFailure(DcnData({"describe", "synthetic-small", "--train-fraction", part}), 2, part);
  }
  ExpectFailure(DcnData({"--log-level", "loud", "describe", "synthetic-small"}), 2,
                "--log-level: unknown log level 'loud'");
  ExpectFailure(DcnData({"describe", "synthetic-small", "--train-fraction", "1"}), 2,
                "the training fraction must be above 0 and below 1, found 1");
  EXPECT_FALSE(fs::exists(output));
}

TEST(DcnDataTest, DescribesForPersonsAndPrograms) {
  const CommandResult text = DcnData({"describe", "synthetic-small"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.out, AllOf(HasSubstr("data set     synthetic\n"),
                              HasSubstr("ratings      20000\n"), HasSubstr("user_zip_code"),
                              HasSubstr("15000 train, 5000 test"), HasSubstr("noise floor")));
  const auto json = nlohmann::json::parse(DcnData({"describe", "synthetic-small", "--json"}).out);
  EXPECT_EQ(json["name"], "synthetic");
  EXPECT_EQ(json["ratings"], 20000);
  EXPECT_EQ(json["vocabulary_sizes"]["movie_id"], 500);
  EXPECT_EQ(json["table_rows"], 500 + 400 + 300 + 21 + 2 + 7 + 6);
  EXPECT_EQ(json["split"]["train_rows"], 15000);
  EXPECT_EQ(json["ratings_per_user"]["least"], 20);
  int ratings = 0;
  double sum = 0;
  for (int k = 1; k <= 5; ++k) {
    const int count = json["rating_counts"][std::to_string(k)];
    ratings += count;
    sum += k * count;
  }
  EXPECT_EQ(ratings, 20000);
  EXPECT_NEAR(json["rating_mean"], sum / ratings, 1e-12);
  EXPECT_GT(json["noise_floor_rmse"], 0.8);
}

TEST(DcnDataTest, DescribesTheSplitThatDcnWorkerMakes) {
  const TemporaryFolder folder;
  WriteText(folder.path() / "u.user", "1|20|M|a|1\n");
  std::string ratings;
  for (int movie = 1; movie <= 20; ++movie) ratings += fmt::format("1\t{}\t3\t1\n", movie);
  WriteText(folder.path() / "u.data", ratings);
  const std::string path = folder.path().string();
  const auto json = nlohmann::json::parse(DcnData({"describe", path, "--json"}).out);
  EXPECT_EQ(json["name"], "ml-100k");
  EXPECT_EQ(json["split"]["train_rows"], 15);
  EXPECT_EQ(json["split"]["test_rows"], 5);
  EXPECT_FALSE(json.contains("noise_floor_rmse"));
  const auto half =
      nlohmann::json::parse(DcnData({"describe", path, "--json", "--train-fraction", "0.5"}).out);
  EXPECT_EQ(half["split"]["train_rows"], 10);
}

TEST(DcnDataTest, BadDataIsExitCodeThree) {
  const TemporaryFolder folder;
  ExpectFailure(DcnData({"describe", (folder.path() / "none").string()}), 3, "no such folder");
  ExpectFailure(DcnData({"describe", folder.path().string()}), 3, "found neither ratings.dat");
  WriteText(folder.path() / "users.dat", "1::M::1::1::1\n");
  WriteText(folder.path() / "ratings.dat", "1::1::5::1\n1::2::9::1\n");
  ExpectFailure(DcnData({"describe", folder.path().string()}), 3,
                (folder.path() / "ratings.dat").string() +
                    ":2: expected a rating 1, 2, 3, 4 or 5, found \"9\"");
}

TEST(DcnDataTest, SynthesizesOnceAndReplacesNothing) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "s").string();
  EXPECT_EQ(DcnData({"synthesize", path, "--size", "small"}).exit_code, 0);
  EXPECT_EQ(DcnData({"synthesize", path, "--size", "small"}).exit_code, 0);
  EXPECT_EQ(DcnData({"describe", path}).out, DcnData({"describe", "synthetic-small"}).out);
  const std::string ratings = ReadText(fs::path(path) / "ratings.dat");
  ExpectFailure(DcnData({"synthesize", path, "--size", "small", "--seed", "7"}), 2,
                "nothing was written");
  EXPECT_EQ(ReadText(fs::path(path) / "ratings.dat"), ratings);
  ExpectFailure(DcnData({"synthesize", (folder.path() / "a" / "b").string(), "--size", "small"}), 2,
                "cannot make the folder");
}

// An archive as GroupLens makes them: a folder with the files inside.
class DcnDataFetchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* tool : {"curl", "unzip", "md5sum", "python3"}) {
      if (testing::RunCommand({"which", tool}).exit_code != 0) {
        GTEST_SKIP() << tool << " is not installed: dcn_data fetch is not tested";
      }
    }
    fs::create_directory(path("ml-1m"));
    WriteText(path("ml-1m/users.dat"), "1::M::1::1::1\n");
    std::string ratings;
    for (int i = 1; i <= 2000; ++i) ratings += fmt::format("1::{}::{}::{}\n", i, i % 5 + 1, 7 * i);
    WriteText(path("ml-1m/ratings.dat"), ratings);
    WriteText(path("ml-1m/README"), "terms");
    archive_ = Zip(path("ml-1m"), path("ml-1m.zip"));
    md5_ = Md5(path("ml-1m.zip"));
  }

  [[nodiscard]] fs::path path(const std::string& name) const { return folder_.path() / name; }
  [[nodiscard]] fs::path data() const { return path("data"); }

  static std::string Zip(const fs::path& folder, const fs::path& zip) {
    EXPECT_EQ(testing::RunCommand({"python3", "-m", "zipfile", "-c", zip.string(), folder.string()})
                  .exit_code,
              0);
    return ReadText(zip);
  }
  static std::string Md5(const fs::path& file) {
    return testing::RunCommand({"md5sum", file.string()}).out.substr(0, 32);
  }

  [[nodiscard]] CommandResult Fetch(const std::string& url, std::string md5 = "") const {
    return DcnData({"fetch", "ml-1m", "--directory", data().string(), "--url", url, "--md5",
                    md5.empty() ? md5_ : std::move(md5)});
  }
  // The data is there and nothing else is.
  void ExpectFetched(const CommandResult& result) const {
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr("fetched and checked"), HasSubstr("GroupLens")));
    for (const char* name : {"ratings.dat", "users.dat", "README"}) {
      EXPECT_EQ(ReadText(data() / "ml-1m" / name), ReadText(path("ml-1m") / name));
    }
    EXPECT_EQ(std::distance(fs::directory_iterator(data()), fs::directory_iterator()), 1);
  }
  [[nodiscard]] std::string Requests() const { return ReadText(path("log")); }

  TemporaryFolder folder_;
  std::string archive_;
  std::string md5_;
};

TEST_F(DcnDataFetchTest, FetchesOnce) {
  const ArchiveServer server(archive_, {}, path("log"));
  ExpectFetched(Fetch(server.url()));
  const std::string requests = Requests();
  const CommandResult again = Fetch(server.url());
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_THAT(again.err, HasSubstr("there already"));
  EXPECT_EQ(Requests(), requests);
  EXPECT_EQ(DcnData({"describe", (data() / "ml-1m").string()}).exit_code, 0);
}

TEST_F(DcnDataFetchTest, FetchesFromAFile) {
  ExpectFetched(Fetch("file://" + path("ml-1m.zip").string()));
}

TEST_F(DcnDataFetchTest, ResumesABrokenDownload) {
  const std::size_t half = archive_.size() / 2;
  {
    const ArchiveServer server(archive_, {.cut_after = half}, path("log"));
    const CommandResult broken = Fetch(server.url());
    EXPECT_EQ(broken.exit_code, 4);
    EXPECT_THAT(broken.err, HasSubstr("Repeat the command to go on where it stopped"));
    EXPECT_FALSE(fs::exists(data() / "ml-1m"));
    EXPECT_GE(fs::file_size(data() / "ml-1m.zip.part"), half);
  }
  fs::remove(path("log"));
  fs::resize_file(data() / "ml-1m.zip.part", half);
  const ArchiveServer server(archive_, {}, path("log"));
  ExpectFetched(Fetch(server.url()));
  EXPECT_THAT(Requests(), HasSubstr(fmt::format("Range: bytes={}-", half)));
}

TEST_F(DcnDataFetchTest, StartsAnewWhereTheServerCannotResume) {
  fs::create_directory(data());
  WriteText(data() / "ml-1m.zip.part", archive_.substr(0, 100));
  const ArchiveServer server(archive_, {.honors_ranges = false}, path("log"));
  ExpectFetched(Fetch(server.url()));
}

TEST_F(DcnDataFetchTest, StartsAnewWhereThePartIsOfAnotherFile) {
  for (const std::size_t size : {std::size_t{100}, archive_.size(), 2 * archive_.size()}) {
    fs::remove_all(data());
    fs::create_directory(data());
    WriteText(data() / "ml-1m.zip.part", std::string(size, 'x'));
    const ArchiveServer server(archive_, {}, path("log"));
    ExpectFetched(Fetch(server.url()));
  }
}

TEST_F(DcnDataFetchTest, GoesOnAfterTheDownload) {
  // Interrupted while unpacking: the archive is whole, the unpacked files are not.
  fs::create_directories(data() / "ml-1m.unpacking" / "ml-1m");
  WriteText(data() / "ml-1m.unpacking" / "ml-1m" / "ratings.dat", "1::");
  WriteText(data() / "ml-1m.unpacking" / "ml-1m" / "stray", "");
  WriteText(data() / "ml-1m.zip.part", archive_);
  ExpectFetched(Fetch("http://127.0.0.1:1/not-asked"));
  EXPECT_FALSE(fs::exists(data() / "ml-1m" / "stray"));
}

TEST_F(DcnDataFetchTest, RefusesAnotherArchive) {
  const ArchiveServer server(archive_, {}, path("log"));
  const CommandResult result = Fetch(server.url(), std::string(32, '0'));
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("expected an archive with md5 " + std::string(32, '0') +
                                    ", found " + md5_));
  EXPECT_TRUE(fs::is_empty(data()));
}

TEST_F(DcnDataFetchTest, RefusesMalformedData) {
  WriteText(path("ml-1m/ratings.dat"), "1::2::9::4\n");
  fs::remove(path("ml-1m.zip"));
  const std::string archive = Zip(path("ml-1m"), path("ml-1m.zip"));
  const ArchiveServer server(archive, {}, path("log"));
  const CommandResult result = Fetch(server.url(), Md5(path("ml-1m.zip")));
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("ratings.dat:1: expected a rating"));
  EXPECT_FALSE(fs::exists(data() / "ml-1m"));
}

TEST_F(DcnDataFetchTest, RefusesAFileThatIsNoArchive) {
  WriteText(path("ml-1m.zip"), "no archive");
  const CommandResult result =
      Fetch("file://" + path("ml-1m.zip").string(), Md5(path("ml-1m.zip")));
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("unzip could not unpack"));
}

TEST_F(DcnDataFetchTest, LeavesMalformedDataThatIsThereAlone) {
  fs::create_directories(data() / "ml-1m");
  WriteText(data() / "ml-1m" / "ratings.dat", "my own");
  const CommandResult result = Fetch("http://127.0.0.1:1/not-asked");
  ExpectFailure(result, 3, "to fetch it again");
  EXPECT_EQ(ReadText(data() / "ml-1m" / "ratings.dat"), "my own");
}

TEST_F(DcnDataFetchTest, SaysWhenTheServerHasNothingOrIsNotThere) {
  const CommandResult absent = Fetch("http://127.0.0.1:1/archive.zip");
  EXPECT_EQ(absent.exit_code, 4);
  EXPECT_THAT(absent.err, AllOf(HasSubstr("cannot download http://127.0.0.1:1/archive.zip"),
                                HasSubstr("--data synthetic")));
  const ArchiveServer server(archive_, {.has_nothing = true}, path("log"));
  const CommandResult nothing = Fetch(server.url());
  EXPECT_EQ(nothing.exit_code, 4);
  EXPECT_THAT(nothing.err, AllOf(HasSubstr("404"), HasSubstr("curl ended with code 22")));
}

TEST_F(DcnDataFetchTest, SaysThatItCannotWriteTheDownload) {
  fs::create_directories(data() / "ml-1m.zip.part" / "full");
  const ArchiveServer server(archive_, {}, path("log"));
  const CommandResult result = Fetch(server.url());
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_THAT(result.err, HasSubstr("cannot write " + (data() / "ml-1m.zip.part").string()));
}

TEST_F(DcnDataFetchTest, PassesAddressesToNoShell) {
  const CommandResult result =
      Fetch("http://127.0.0.1:1/x$(touch " + path("owned").string() + ");`touch owned`");
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_FALSE(fs::exists(path("owned")));
  // Neither is an address an option of curl.
  const CommandResult option =
      DcnData({"fetch", "ml-1m", "--directory", data().string(), "--url=--version"});
  EXPECT_EQ(option.exit_code, 4);
}

TEST_F(DcnDataFetchTest, SaysWhichToolIsMissing) {
  const std::string saved = std::getenv("PATH");
  ::setenv("PATH", folder_.path().c_str(), 1);
  const CommandResult result = Fetch("http://127.0.0.1:1/archive.zip");
  ::setenv("PATH", saved.c_str(), 1);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("cannot run curl"), HasSubstr("apt-get install")));
}

}  // namespace
}  // namespace dcn::launch
