// Stands for dcn_worker in tests of the sweep: writes a made-up result, or misbehaves as its
// configuration says.
//
//   behaviour = "finish"       the default: writes the run of (model, seed) and ends well
//               "fail"         complains and ends with 2
//               "no-result"    ends well without a result
//               "lost"         at its first `times` (1) starts takes 57 steps, with checkpoints to
//                              step 40, and dies by `signal` or ends with `code`; then finishes
//               "stalled"      at its first `times` (1) starts takes the same steps and stops
//                              (SIGSTOP); then finishes
//               "wait"         waits for SIGTERM or SIGUSR1, then ends with 6
//               "stubborn"     tells of the first of them and stays
//               "stubborn-once"  the same at its first start; at the next finishes, or ends with 7
//                              where the process of the first is still there
//   only-seed = N              the behaviour is for this seed; others finish
//   pipe = "FILE"              a named pipe: what happens to it, one line each
//
// As a rank of an MPI job (which it does not join) each rank does so, and rank 0 writes the result.

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <toml++/toml.h>

#include "tests/launch/fixture_sweep.h"
#include "worker/export/step_file.h"

namespace {

namespace fs = std::filesystem;

/// Opens the pipe and keeps it open: its reader sees the end of this process as the end of file.
class Pipe {
 public:
  explicit Pipe(const std::string& path)
      : fd_(path.empty() ? -1 : ::open(path.c_str(), O_WRONLY | O_CLOEXEC)) {}

  void Tell(const std::string& line) const {
    const std::string text = line + "\n";
    if (fd_ >= 0 && ::write(fd_, text.data(), text.size()) < 0) std::perror("pipe");
  }

 private:
  int fd_;
};

/// The command line: options by name, flags with an empty value.
std::map<std::string, std::string> ParseOptions(int argc, char** argv) {
  std::map<std::string, std::string> options;
  for (int k = 1; k < argc; ++k) {
    const bool has_value = k + 1 < argc && std::string(argv[k + 1]).substr(0, 2) != "--";
    options[argv[k]] = has_value ? argv[k + 1] : "";
    if (has_value) ++k;
  }
  return options;
}

std::string Rank() {
  const char* const rank = std::getenv("OMPI_COMM_WORLD_RANK");
  return rank == nullptr ? "0" : rank;
}

int RankCount() {
  const char* const count = std::getenv("OMPI_COMM_WORLD_SIZE");
  return count == nullptr ? 1 : std::stoi(count);
}

/// What asks it to end.
sigset_t StopSignals() {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGUSR1);
  return stop;
}

/// Returns when it is asked to end.
void WaitForStop() {
  const sigset_t stop = StopSignals();
  int signal = 0;
  sigwait(&stop, &signal);
}

int Finish(const fs::path& output, const std::string& model, std::uint64_t seed) {
  // Two levels up: the sweep's folder.
  if (Rank() == "0") {
    dcn::testing::WriteFixtureRun(output.parent_path().parent_path(), model, seed);
  }
  return 0;
}

/// The processes that were started in `output` as a rank.
std::vector<pid_t> Starts(const fs::path& output, const std::string& rank) {
  std::vector<pid_t> processes;
  std::ifstream starts(output / ("starts-" + rank));
  for (pid_t process = 0; starts >> process;) processes.push_back(process);
  return processes;
}

/// The processes that were started in `output` as this rank, with this one as the last.
std::vector<pid_t> CountStart(const fs::path& output) {
  std::ofstream(output / ("starts-" + Rank()), std::ios::app) << ::getpid() << "\n";
  return Starts(output, Rank());
}

/// Returns when all ranks have counted that many starts. mpirun kills the others where one is lost:
/// those of them that had not counted this start yet would be lost at one start more.
void AwaitStarts(const fs::path& output, std::size_t count) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  for (int rank = 0; rank < RankCount(); ++rank) {
    while (Starts(output, std::to_string(rank)).size() < count) {
      if (std::chrono::steady_clock::now() > deadline) {
        std::fprintf(stderr, "fake worker: rank %d does not start\n", rank);
        ::_exit(1);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
}

/// Whether a process runs; one that is dead and only waits to be noticed does not.
bool IsAlive(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(file, text);
  const std::size_t name_end = text.rfind(") ");
  return name_end != std::string::npos && text.find_first_of("ZX", name_end) != name_end + 2;
}

/// Takes steps as far as the log and the step file show, with checkpoints where they are asked for.
void TakeSteps(const std::map<std::string, std::string>& options) {
  std::uint64_t resumed_from = 0;
  if (const auto folder = options.find("--checkpoint-dir"); folder != options.end()) {
    const fs::path checkpoint = fs::path(folder->second) / "step-40";
    if (fs::exists(checkpoint) && options.contains("--resume")) {
      std::printf("resumed from step 40 of checkpoint %s\n", checkpoint.c_str());
      resumed_from = 40;
    }
    fs::create_directories(folder->second);
    std::ofstream(checkpoint) << "every " << options.at("--checkpoint-every");
  }
  std::printf("epoch 1  step 57/100  loss 1.2345\n");
  std::fflush(stdout);
  const auto file = options.find("--step-file");
  if (file == options.end() || Rank() != "0") return;
  auto steps = dcn::output::StepFile::Open(file->second);
  if (!steps.ok()) std::printf("%s\n", steps.status().message().c_str());
  if (!steps.ok()) return;
  steps->BeginSteps(resumed_from);
  steps->TakeStep(57);
}

/// How the configuration wants the worker to be lost.
[[noreturn]] void BeLost(const toml::table& config) {
  if (const int signal = config["signal"].value_or(0); signal != 0) ::raise(signal);
  ::_exit(config["code"].value_or(1));
}

int Wait(const std::string& behaviour, const Pipe& pipe) {
  pipe.Tell("started " + std::to_string(::getpid()));
  WaitForStop();
  pipe.Tell("asked to stop");
  if (behaviour != "wait") ::pause();
  return 6;
}

/// Blocks what asks it to end, until it is waited for.
void BlockStop() {
  const sigset_t stop = StopSignals();
  ::sigprocmask(SIG_BLOCK, &stop, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  BlockStop();  // before anything is told
  const std::map<std::string, std::string> options = ParseOptions(argc, argv);
  const toml::table config = toml::parse_file(options.at("--config"));
  const std::uint64_t seed = std::stoull(options.at("--seed"));
  const fs::path output = options.at("--output");
  const std::string model = config["model"].value_or(std::string());
  std::string behaviour = config["behaviour"].value_or(std::string("finish"));
  if (config["only-seed"].value_or(seed) != seed) behaviour = "finish";
  const Pipe pipe(behaviour == "finish" ? "" : config["pipe"].value_or(std::string()));

  std::printf("fake worker: %s, %s threads\n", behaviour.c_str(), options.at("--threads").c_str());
  std::fflush(stdout);
  if (behaviour == "finish") return Finish(output, model, seed);
  if (behaviour == "no-result") return 0;
  if (behaviour == "fail") {
    std::fprintf(stderr, "fake worker: --epochs: 0 is out of range\n");
    return 2;
  }
  const bool takes_steps = behaviour == "lost" || behaviour == "stalled";
  if (takes_steps) TakeSteps(options);  // who has counted has told them
  const std::vector<pid_t> starts = CountStart(output);
  if (takes_steps) {
    AwaitStarts(output, starts.size());
    if (static_cast<int>(starts.size()) > config["times"].value_or(1)) {
      return Finish(output, model, seed);
    }
    if (behaviour == "lost") BeLost(config);
    ::raise(SIGSTOP);
  }
  if (behaviour == "stubborn-once" && starts.size() > 1) {
    if (IsAlive(starts.front())) return 7;
    return Finish(output, model, seed);
  }
  return Wait(behaviour, pipe);
}
