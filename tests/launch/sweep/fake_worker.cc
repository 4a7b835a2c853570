// Stands for dcn_worker in tests of the sweep: writes a made-up result, or misbehaves as its
// configuration says.
//
//   behaviour = "finish"       the default: writes the run of (model, seed) and ends well
//               "fail"         complains and ends with 2
//               "no-result"    ends well without a result
//               "killed-once"  dies by SIGKILL at the first start, finishes at the next
//               "killed"       dies by SIGKILL
//               "wait"         waits for SIGTERM, then ends with 6
//               "stubborn"     tells of SIGTERM and stays
//   only-seed = N              the behaviour is for this seed; others finish
//   pipe = "FILE"              a named pipe: what happens to it, one line each

#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <unistd.h>

#include <toml++/toml.h>

#include "tests/launch/fixture_sweep.h"

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

[[noreturn]] void Die() {
  ::raise(SIGKILL);
  ::_exit(1);
}

/// Returns on SIGTERM.
void WaitForStop() {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  int signal = 0;
  sigwait(&stop, &signal);
}

int Finish(const fs::path& output, const std::string& model, std::uint64_t seed) {
  // Two levels up: the sweep's folder.
  dcn::testing::WriteFixtureRun(output.parent_path().parent_path(), model, seed);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // Before anything is told: SIGTERM waits until it is asked for.
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &stop, nullptr);

  std::map<std::string, std::string> options;
  for (int k = 1; k + 1 < argc; k += 2) options[argv[k]] = argv[k + 1];
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
  if (behaviour == "killed") Die();
  if (behaviour == "killed-once") {
    if (fs::exists(output / "was-killed")) return Finish(output, model, seed);
    std::ofstream(output / "was-killed") << "yes";
    Die();
  }
  pipe.Tell("started " + std::to_string(::getpid()));
  WaitForStop();
  pipe.Tell("asked to stop");
  if (behaviour == "stubborn") ::pause();
  return 6;
}
