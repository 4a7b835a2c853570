// Kills of random processes at random moments: the run ends with the digest of an undisturbed one,
// goes on within 15 s, and repeats no step whose checkpoint was whole.
//
// A coordinator (dcn_sweep) runs a job of two workers and two servers with checkpoints. Each round
// kills with SIGKILL a worker, a server, the coordinator (and starts it again), or all of them.
// DCN_FAULT_KILLS=100 makes so many kills (10), DCN_FAULT_SEED=7 repeats those of that seed, and
// DCN_FAULT_MINUTES=30 goes on for so long, with kills 2 to 10 s apart in one long run (soak.sh).
// DCN_FAULT_ML1M_KILLS=20: so many kills on MovieLens-1M (3), where DCN_ML1M_DIR names it.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/fault/measured_times.h"
#include "tests/fault/repeat_command.h"
#include "tests/testing/command.h"
#include "tests/testing/distributed_run.h"
#include "tests/testing/process_search.h"
#include "tests/testing/temporary_folder.h"

namespace dcn {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using testing::FindProcesses;
using testing::FoundProcess;
using testing::NumberFrom;
using testing::ReadText;
using testing::RunningCommand;
using testing::WriteText;

constexpr const char* kVictims[] = {"worker", "server", "coordinator", "all"};
// A coordinator that is started again, and a run that begins anew after each kill, end by then.
constexpr std::chrono::seconds kRoundEndsWithin{180};

// From a kill, or from the coordinator's new start, to the first step that follows; longer by the
// share of the processors that this machine's host gives to others.
constexpr double kRestartSeconds = 15;
constexpr double kMl1mRestartSeconds = 3;

double Seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

// A run's data and size, and how often it keeps a checkpoint.
struct Workload {
  std::string data = "synthetic-small";
  std::uint64_t batch_size = 1024;
  std::uint64_t slice_rows = 128;
  std::uint64_t steps = 0;
  std::uint64_t checkpoint_every = 10;
};

// The newest checkpoints in a folder, by step; 0: none.
struct NewestCheckpoints {
  std::uint64_t begun = 0;
  std::uint64_t whole = 0;
};

// What came of a run with a kill.
struct Round {
  bool was_there = false;                                // the victim
  std::optional<double> restart_seconds = std::nullopt;  // where something had to start again
};

class KillTest : public ::testing::Test {
 protected:
  KillTest() : random_(testing::Seed()) {}
  ~KillTest() override { EXPECT_TRUE(testing::AwaitNoProcess(mark())); }

  // The experiment; the digest that one undisturbed process has.
  void WriteExperiment(const Workload& workload) {
    workload_ = workload;
    const std::string training =
        fmt::format("batch-size = {}\nslice-rows = {}\nmax-steps = {}\nepochs = 100000\n",
                    workload.batch_size, workload.slice_rows, workload.steps);
    WriteText(folder_.path() / "experiment.toml",
              fmt::format("name = \"kill\"\ndata = \"{}\"\nseeds = [1]\n[training]\n{}"
                          "[[variant]]\nname = \"dcn\"\nmodel = \"dcn\"\n",
                          workload.data, training));
    const auto result = testing::RunCommand(
        {testing::BuiltProgram("dcn_worker"), "--data", workload.data, "--batch-size",
         std::to_string(workload.batch_size), "--slice-rows", std::to_string(workload.slice_rows),
         "--max-steps", std::to_string(workload.steps), "--epochs", "100000", "--threads", "2"},
        std::chrono::seconds(600));
    oracle_ = testing::DigestIn(result.out);
    ASSERT_FALSE(oracle_.empty()) << result.err;
  }

  // Part of the command lines of all processes of the run, however they write the path.
  [[nodiscard]] std::string mark() const { return folder_.path().filename().string(); }
  [[nodiscard]] fs::path output() const { return folder_.path() / "sweep"; }
  [[nodiscard]] fs::path run_folder() const { return output() / "dcn" / "seed-1"; }

  void StartCoordinator() {
    coordinator_ = std::make_unique<RunningCommand>(
        std::vector<std::string>{
            testing::BuiltProgram("dcn_sweep"), (folder_.path() / "experiment.toml").string(),
            "--output", output().string(), "--workers", "2", "--servers", "2", "--threads", "1",
            "--slots", "1", "--checkpoint-every", std::to_string(workload_.checkpoint_every),
            "--max-restarts", "1000000"},
        folder_.path() / "log");
  }

  [[nodiscard]] std::vector<FoundProcess> Processes(const std::string& program) const {
    auto found = FindProcesses(mark());
    std::erase_if(found, [&](const FoundProcess& process) { return process.program != program; });
    return found;
  }

  // Kills what `victim` says; false: there is none at this moment.
  bool Kill(const std::string& victim) {
    std::vector<FoundProcess> targets;
    if (victim == "all") {
      targets = FindProcesses(mark());
    } else if (victim == "coordinator") {
      targets = Processes("dcn_sweep");
    } else {
      targets = Processes(victim == "worker" ? "dcn_worker" : "dcn_ps");
      std::ranges::shuffle(targets, random_);
      targets.resize(std::min<std::size_t>(targets.size(), 1));
    }
    for (const FoundProcess& target : targets) ::kill(target.pid, SIGKILL);
    if (!targets.empty() && (victim == "all" || victim == "coordinator")) {
      (void)coordinator_->Wait();
      StartCoordinator();
    }
    return !targets.empty();
  }

  // The run's end from now on, as it must be.
  void ExpectGoodEnd(Clock::time_point deadline) {
    while (!coordinator_->HasEnded() && Clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ASSERT_TRUE(coordinator_->HasEnded()) << "not within the time; " << Logs();
    const auto result = coordinator_->Wait();
    ASSERT_EQ(result.exit_code, 0) << Logs();
    EXPECT_EQ(Result().at("parameter_digest"), oracle_) << Logs();
    EXPECT_TRUE(testing::AwaitNoProcess(mark()));
  }

  [[nodiscard]] nlohmann::json Result() const {
    return nlohmann::json::parse(ReadText(run_folder() / "result.json"));
  }

  // The step that the attempt went on from which came to the end; 0: it began at the beginning.
  [[nodiscard]] std::uint64_t ResumedFrom() const {
    return Result().value("resumed_from_step", std::uint64_t{0});
  }

  [[nodiscard]] std::string Logs() const {
    const fs::path log = run_folder() / "log.txt";
    return ReadText(folder_.path() / "log") + (fs::exists(log) ? ReadText(log) : "");
  }

  // While the run goes on: what has just vanished does not count.
  [[nodiscard]] NewestCheckpoints FindCheckpoints() const {
    NewestCheckpoints newest;
    std::error_code error;
    for (fs::directory_iterator entry(run_folder() / "checkpoints", error);
         !error && entry != fs::directory_iterator(); entry.increment(error)) {
      const std::string name = entry->path().filename();
      if (!name.starts_with("step-")) continue;
      const std::uint64_t step = std::stoull(name.substr(5));
      newest.begun = std::max(newest.begun, step);
      std::error_code vanished;
      if (fs::exists(entry->path() / "manifest.json", vanished)) {
        newest.whole = std::max(newest.whole, step);
      }
    }
    return newest;
  }

  // The run goes on from the newest checkpoint that was whole at the kill, or a newer one. So what
  // it repeats are the steps since, and where the next checkpoint was being written meanwhile, one
  // interval more. Those that were left out, since the disk was slower than the steps, add theirs.
  void ExpectAtMostOneIntervalLost(const NewestCheckpoints& at_kill) const {
    const std::uint64_t resumed = ResumedFrom();
    const std::string log = Logs();
    EXPECT_GE(resumed, at_kill.whole) << log;
    std::uint64_t intervals = 1;
    for (std::size_t at = 0; (at = log.find(": left out, that of step", at)) != std::string::npos;
         ++at) {
      ++intervals;
    }
    EXPECT_LE(at_kill.begun, resumed + intervals * workload_.checkpoint_every) << log;
  }

  // Seconds from `kill` to the first step of the attempt that came to the run's end, from what its
  // result tells of it. Nothing: it had begun before.
  [[nodiscard]] std::optional<double> RestartSeconds(fs::file_time_type kill) const {
    const auto result = Result();
    const double trained = result.at("wall_seconds").get<double>() -
                           result.at("startup_seconds").get<double>();  // and evaluated, written
    const auto end = fs::last_write_time(run_folder() / "result.json");
    const double seconds = std::chrono::duration<double>(end - kill).count() - trained;
    return seconds < 0 ? std::nullopt : std::optional(seconds);
  }

  // A run that loses `victim` at `moment`: what ExpectGoodEnd, kRestartSeconds and
  // ExpectAtMostOneIntervalLost say. Prints how it went.
  Round RunWithKill(const std::string& victim, double moment) {
    fs::remove_all(output());
    const auto start = Clock::now();
    StartCoordinator();
    std::this_thread::sleep_for(std::chrono::duration<double>(moment));
    const NewestCheckpoints at_kill = FindCheckpoints();
    const auto kill = fs::file_time_type::clock::now();
    const bool was_there = Kill(victim);
    ExpectGoodEnd(start + kRoundEndsWithin);
    if (HasFatalFailure()) return {.was_there = was_there};
    const double took = Seconds(Clock::now() - start);
    const std::optional<double> restart = was_there ? RestartSeconds(kill) : std::nullopt;
    if (!restart) {
      fmt::print("{} after {:.3f} s ({}); ended after {:.1f} s\n", victim, moment,
                 was_there ? "it was not missed" : "there was none", took);
      return {.was_there = was_there};
    }
    fmt::print(
        "{} after {:.3f} s, with checkpoints of step {} begun and {} whole; went on from {} after "
        "{:.2f} s; ended after {:.1f} s\n",
        victim, moment, at_kill.begun, at_kill.whole, ResumedFrom(), *restart, took);
    EXPECT_LE(*restart, kRestartSeconds / (1 - stolen_.share())) << Logs();
    ExpectAtMostOneIntervalLost(at_kill);
    return {.was_there = true, .restart_seconds = restart};
  }

  // So many rounds with a kill each at a random moment of a run: of these, one after another, while
  // they train; where none are given, of random ones from the coordinator's start on. A round whose
  // victim was not there, or not any more, does not count. Returns the restarts' seconds, and
  // prints what they come to.
  std::vector<double> KillInRounds(std::uint64_t kills_wanted,
                                   const std::vector<std::string>& victims) {
    const auto begin = Clock::now();
    StartCoordinator();
    ExpectGoodEnd(begin + kRoundEndsWithin);
    if (HasFatalFailure()) return {};
    const double undisturbed = Seconds(Clock::now() - begin);
    const double training = Result().at("train_seconds").get<double>();
    const double earliest = victims.empty() ? 0 : undisturbed - training;
    std::vector<double> restarts;
    std::uint64_t kills = 0;
    for (std::uint64_t round = 0; kills < kills_wanted && !HasFatalFailure(); ++round) {
      const std::string victim = victims.empty() ? kVictims[random_() % std::size(kVictims)]
                                                 : victims[round % victims.size()];
      const double moment = std::uniform_real_distribution<double>(earliest, undisturbed)(random_);
      SCOPED_TRACE(fmt::format("round {}: {} after {:.3f} s", round, victim, moment));
      fmt::print("round {}: ", round);
      const auto [was_there, restart] = RunWithKill(victim, moment);
      if (was_there) ++kills;
      if (restart) restarts.push_back(*restart);
    }
    fmt::print("{} kills\n", kills);
    if (restarts.empty()) return {};
    testing::PrintTimes("from a kill to the next step", restarts, stolen_);
    return restarts;
  }

  std::mt19937_64 random_;
  const testing::StolenTime stolen_;
  testing::TemporaryFolder folder_;
  Workload workload_;
  std::string oracle_;
  std::unique_ptr<RunningCommand> coordinator_;
};

TEST_F(KillTest, AnyProcessAtAnyMomentTheDigestIsThatOfAnUndisturbedRun) {
  if (NumberFrom("DCN_FAULT_MINUTES", 0) > 0) GTEST_SKIP() << "the soak is asked for";
  WriteExperiment({.steps = 160});
  KillInRounds(NumberFrom("DCN_FAULT_KILLS", 10), {});
}

TEST_F(KillTest, OnMovieLens1MTheNextStepComesWithinThreeSeconds) {
  if (NumberFrom("DCN_FAULT_MINUTES", 0) > 0) GTEST_SKIP() << "the soak is asked for";
  const char* const data = std::getenv("DCN_ML1M_DIR");
  if (data == nullptr) GTEST_SKIP() << "DCN_ML1M_DIR is not set";
  WriteExperiment(
      {.data = data, .batch_size = 8192, .slice_rows = 512, .steps = 60, .checkpoint_every = 20});
  const auto restarts =
      KillInRounds(NumberFrom("DCN_FAULT_ML1M_KILLS", 3), {"worker", "server", "all"});
  // Processors that others use say nothing about this program.
  constexpr double kCalm = 0.05;
  if (restarts.empty() || stolen_.share() > kCalm) {
    fmt::print("3 s is not asked of it: this machine is not calm\n");
    return;
  }
  EXPECT_LE(testing::Percentile(restarts, 0.5), kMl1mRestartSeconds);
}

// Descriptors and memory of a process.
struct Usage {
  std::size_t descriptors = 0;
  std::size_t pages = 0;
};

std::optional<Usage> UsageOf(pid_t pid) {
  std::error_code error;
  const fs::path folder = fmt::format("/proc/{}", pid);
  Usage usage;
  for (fs::directory_iterator entry(folder / "fd", error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    ++usage.descriptors;
  }
  if (error) return std::nullopt;
  std::ifstream file(folder / "statm");
  std::size_t size = 0;
  if (!(file >> size >> usage.pages)) return std::nullopt;
  return usage;
}

// Remembers what processes used when they had run for a while, and finds those that use more later.
class UsageWatch {
 public:
  // Called once a second.
  void Look(const std::vector<FoundProcess>& processes) {
    for (const FoundProcess& process : processes) {
      const auto usage = UsageOf(process.pid);
      if (!usage) continue;
      Seen& seen = seen_[process.pid];
      // Of its first seconds nothing is to be said.
      if (++seen.times <= 3) {
        seen.base = *usage;
        continue;
      }
      ++comparisons_[process.program];
      EXPECT_LE(usage->descriptors, seen.base.descriptors + 8) << process.program;
      EXPECT_LE(usage->pages, seen.base.pages + 4096) << process.program;
    }
  }
  // By program.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& comparisons() const {
    return comparisons_;
  }

 private:
  struct Seen {
    int times = 0;
    Usage base;
  };
  std::map<pid_t, Seen> seen_;  // numbers of processes that are gone are not used again so soon
  std::map<std::string, std::uint64_t> comparisons_;
};

TEST_F(KillTest, SoakKillsOfRandomProcessesSecondsApart) {
  const std::uint64_t minutes = NumberFrom("DCN_FAULT_MINUTES", 0);
  if (minutes == 0) GTEST_SKIP() << "DCN_FAULT_MINUTES is not set (tests/fault/soak.sh sets it)";
  // Runs with that many steps, one after another, until the time is over.
  WriteExperiment({.steps = 2000});
  const auto end = Clock::now() + std::chrono::minutes(minutes);
  std::uint64_t kills = 0;
  UsageWatch watch;
  for (std::uint64_t run = 0; Clock::now() < end && !HasFatalFailure(); ++run) {
    fs::remove_all(output());
    StartCoordinator();
    while (!coordinator_->HasEnded() && Clock::now() < end) {
      const double pause = std::uniform_real_distribution<double>(2, 10)(random_);
      const auto kill_at = Clock::now() + std::chrono::duration<double>(pause);
      while (Clock::now() < kill_at) {
        std::this_thread::sleep_for(std::chrono::seconds(1));
        for (const char* program : {"dcn_sweep", "dcn_ps", "dcn_worker"}) {
          watch.Look(Processes(program));
        }
      }
      const std::string victim = kVictims[random_() % std::size(kVictims)];
      if (coordinator_->HasEnded() || !Kill(victim)) continue;
      ++kills;
    }
    ExpectGoodEnd(Clock::now() + std::chrono::minutes(5));
    fmt::print("run {}: {} kills so far\n", run, kills);
  }
  for (const char* program : {"dcn_sweep", "dcn_ps", "dcn_worker"}) {
    const auto found = watch.comparisons().find(program);
    const std::uint64_t comparisons = found == watch.comparisons().end() ? 0 : found->second;
    fmt::print("{}: memory and descriptors compared {} times\n", program, comparisons);
    EXPECT_GT(comparisons, 0U) << program;
  }
}

}  // namespace
}  // namespace dcn
