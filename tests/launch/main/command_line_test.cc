#include "launch/main/command_line.h"

#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/temporary_folder.h"

namespace dcn::launch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::WriteText;

// A program with an option of each kind, and a command.
struct Program {
  Program() {
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    app.add_option("--whole", whole)->transform(WholeNumber());
    app.add_option("--few", few)->transform(WholeNumber(1, 9));
    app.add_option("--time", time)->check(NumberIn(0.5, 100));
    app.add_option("--text", text)->required();
    app.add_flag("--flag", flag);
    app.add_option("--list", list)
        ->transform(WholeNumber())
        ->delimiter(',')
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    CLI::App* const command = app.add_subcommand("command");
    command->add_option("--inner", inner)->transform(WholeNumber());
  }

  Result<std::string> Parse(std::vector<std::string> arguments) {
    std::vector<const char*> argv = {"program"};
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    return ParseCommandLine(app, static_cast<int>(argv.size()), argv.data());
  }

  CLI::App app{"A program.", "program"};
  std::uint64_t whole = 1;
  int few = 1;
  double time = 1;
  std::string text;
  bool flag = false;
  std::vector<std::uint64_t> list;
  std::uint64_t inner = 0;
};

std::string ErrorOf(const std::vector<std::string>& arguments) {
  const Result<std::string> parsed = Program().Parse(arguments);
  EXPECT_FALSE(parsed.ok()) << arguments.back();
  EXPECT_EQ(parsed.status().code(), StatusCode::kInvalidArgument) << parsed.status().message();
  return parsed.status().message();
}

TEST(CommandLineTest, TakesWholeNumbersToTheLast) {
  Program program;
  ASSERT_TRUE(program
                  .Parse({"--text", "t", "--whole", "18446744073709551615", "--few", "9", "--list",
                          "0,010,18446744073709551615"})
                  .ok());
  EXPECT_EQ(program.whole, 18446744073709551615U);
  EXPECT_EQ(program.few, 9);
  EXPECT_THAT(program.list, ElementsAre(0, 10, 18446744073709551615U));
}

TEST(CommandLineTest, RefusesWhatIsNoWholeNumberInTheRange) {
  for (const std::string wrong :
       {"-1", "18446744073709551616", "99999999999999999999999", "1.5", "1e3", "many", "0x10"}) {
    EXPECT_THAT(
        ErrorOf({"--text", "t", "--whole=" + wrong}),
        HasSubstr("--whole: " + wrong + " is not a whole number in 0 .. 18446744073709551615"));
    EXPECT_THAT(ErrorOf({"--text", "t", "--list=1," + wrong}),
                HasSubstr(" is not a whole number in 0 .. 18446744073709551615"));
  }
  for (const std::string wrong : {"0", "10", "4294967297"}) {
    EXPECT_THAT(ErrorOf({"--text", "t", "--few", wrong}),
                HasSubstr("--few: " + wrong + " is not a whole number in 1 .. 9"));
  }
}

TEST(CommandLineTest, RefusesWhatIsNoNumberInTheRange) {
  for (const std::string wrong : {"nan", "-nan", "inf", "-inf", "0.49", "100.1", "1e999", "soon"}) {
    EXPECT_THAT(ErrorOf({"--text", "t", "--time=" + wrong}),
                HasSubstr("--time: " + wrong + " is not a number in 0.5 .. 100"));
  }
  Program program;
  ASSERT_TRUE(program.Parse({"--text", "t", "--time", "5e-1"}).ok());
  EXPECT_EQ(program.time, 0.5);
}

TEST(CommandLineTest, TakesAllOfTomlAndTheCommandLineWins) {
  const TemporaryFolder folder;
  const std::string file = folder.path() / "options.toml";
  WriteText(file,
            "whole = 1_000  # a thousand\nfew = 0x4\ntime = 2\ntext = '''\na = [b]'''\n"
            "flag = true\nlist = [\n  3,\n  4,  # and no more\n]\ncommand.inner = 5\n");
  Program from_file;
  ASSERT_TRUE(from_file.Parse({"--config", file}).ok());
  EXPECT_EQ(from_file.whole, 1000U);
  EXPECT_EQ(from_file.few, 4);
  EXPECT_EQ(from_file.time, 2);
  EXPECT_EQ(from_file.text, "a = [b]");
  EXPECT_TRUE(from_file.flag);
  EXPECT_THAT(from_file.list, ElementsAre(3, 4));
  EXPECT_EQ(from_file.inner, 5U);
  Program both;
  ASSERT_TRUE(
      both.Parse({"--list", "9", "--flag=false", "--config=" + file, "command", "--inner", "7"})
          .ok());
  EXPECT_THAT(both.list, ElementsAre(9));
  EXPECT_FALSE(both.flag);
  EXPECT_EQ(both.inner, 7U);
  EXPECT_EQ(both.whole, 1000U);
}

TEST(CommandLineTest, NamesFileAndLineOfWhatIsWrong) {
  const TemporaryFolder folder;
  const std::string file = folder.path() / "options.toml";
  const auto refuse = [&](const std::string& text, int line, const std::string& part) {
    WriteText(file, text);
    const std::string error = ErrorOf({"--text", "t", "--config", file});
    EXPECT_THAT(error, HasSubstr(file + ":" + std::to_string(line) + ": "));
    EXPECT_THAT(error, HasSubstr(part));
  };
  refuse("\nwhole = \n", 2, "not TOML");
  refuse("whole = 1\n\x01\xff\xfe\n", 2, "not TOML");
  refuse("whole = 18446744073709551616\n", 1, "not TOML");
  refuse("\n\nwhloe = 1\n", 3, "unknown key 'whloe'; a key is an option of program");
  refuse("whole = -1\n", 1, "-1 is not a whole number in 0 .. ");
  refuse("flag = true\nwhole = 1.5\n", 2, "1.5 is not a whole number in 0 .. ");
  refuse("whole = 'many'\n", 1, "many is not a whole number in 0 .. ");
  refuse("whole = ''\n", 1, " is not a whole number in 0 .. ");
  refuse("whole = [1, 2]\n", 1, "whole: expected one value");
  refuse("list = [1, -1]\n", 1, "-1 is not a whole number in 0 .. ");
  refuse("list = [1, 1.5]\n", 1, "list: expected one value");
  refuse("text = 1979-05-27\n", 1, "text: expected one value");
  refuse("time = nan\n", 1, "nan is not a number in 0.5 .. 100");
  refuse("time = inf\n", 1, "inf is not a number in 0.5 .. 100");
  refuse("[command]\n\ninner = -1\n", 3, "--inner: -1 is not");
  refuse("\n[comand]\ninner = 1\n", 2, "comand");
  refuse("config = 'other.toml'\n", 1, "config");
}

TEST(CommandLineTest, NamesAFileThatCannotBeRead) {
  const TemporaryFolder folder;
  const std::string absent = folder.path() / "absent.toml";
  EXPECT_THAT(ErrorOf({"--text", "t", "--config", absent}),
              HasSubstr("--config " + absent + ": no such file"));
  EXPECT_THAT(ErrorOf({"--text", "t", "--config", folder.path()}), HasSubstr("it is a folder"));
}

TEST(CommandLineTest, HelpsEvenWithAWrongFile) {
  const Result<std::string> help = Program().Parse({"--config", "/absent.toml", "--help"});
  ASSERT_TRUE(help.ok()) << help.status().message();
  EXPECT_THAT(*help, HasSubstr("--config FILE"));
}

}  // namespace
}  // namespace dcn::launch
