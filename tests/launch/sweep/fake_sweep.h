// What tests of dcn_sweep over fake workers (fake_worker.cc) share.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <iterator>
#include <poll.h>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "common/file/file_descriptor.h"
#include "launch/sweep/journal.h"
#include "launch/sweep/run_plan.h"
#include "tests/testing/command.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::sweep {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::BuiltProgram;
using testing::CommandResult;
using testing::ReadText;
using testing::RunCommand;
using testing::RunningCommand;
using testing::WriteText;

/// The reading end of a named pipe that fake workers tell of themselves through.
class NamedPipe {
 public:
  explicit NamedPipe(fs::path path) : path_(std::move(path)) {
    EXPECT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    file_ = FileDescriptor(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    EXPECT_TRUE(file_.is_open());
  }

  /// The next line; empty once every worker that had the pipe open has ended. Waits, at most a
  /// minute.
  std::string ReadLine() {
    std::string line;
    while (true) {
      pollfd waited{.fd = file_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&waited, 1, 60'000) != 1) {
        ADD_FAILURE() << "no worker told anything for a minute";
        return line;
      }
      char c = 0;
      if (::read(file_.get(), &c, 1) != 1 || c == '\n') return line;
      line += c;
    }
  }

  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  FileDescriptor file_;
};

/// An experiment of fake workers, its folder, and dcn_sweep over them.
class FakeSweep : public ::testing::Test {
 protected:
  /// Writes the experiment: variants full and deep, seeds 1 and 2, with `training` added.
  void WriteExperiment(const std::string& training) {
    WriteText(experiment_,
              "name = 'fake'\ndata = 'synthetic-small'\nseeds = [1, 2]\n[training]\nepochs = 3\n" +
                  training +
                  "[[variant]]\nname = 'full'\nmodel = 'full'\n"
                  "[[variant]]\nname = 'deep'\nmodel = 'deep'\n");
  }

  std::vector<std::string> Arguments(const std::vector<std::string>& more = {}) const {
    const char* fake_worker = std::getenv("DCN_FAKE_WORKER");
    std::vector<std::string> arguments = {BuiltProgram("dcn_sweep"),
                                          experiment_,
                                          "--output",
                                          output_,
                                          "--worker",
                                          fake_worker == nullptr ? "" : fake_worker,
                                          "--slots",
                                          "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  CommandResult Sweep(const std::vector<std::string>& more = {}) const {
    return RunCommand(Arguments(more));
  }

  /// The journal's entries of an event, in their order.
  std::vector<json> Entries(const std::string& event) const {
    const Result<JournalText> journal =
        ParseJournal(ReadText(output_ / "journal.jsonl"), "journal.jsonl");
    EXPECT_TRUE(journal.ok()) << journal.status().ToString();
    std::vector<json> entries;
    if (!journal.ok()) return entries;
    std::copy_if(journal->entries.begin(), journal->entries.end(), std::back_inserter(entries),
                 [&](const json& entry) { return entry.at("event") == event; });
    return entries;
  }

  /// How many there are.
  std::size_t Events(const std::string& event) const { return Entries(event).size(); }

  /// Waits, at most a minute, until the journal has that many entries of the event.
  void AwaitEvents(const std::string& event, std::size_t count) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!fs::exists(output_ / "journal.jsonl") || Events(event) < count) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  fs::path Run(const std::string& variant, std::uint64_t seed) const {
    return RunFolder(output_, variant, seed);
  }

  const testing::TemporaryFolder folder_;
  const fs::path experiment_ = folder_.path() / "fake.toml";
  const fs::path output_ = folder_.path() / "out";
};

}  // namespace dcn::sweep
