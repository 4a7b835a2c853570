// The options of dcn_sweep, and how it starts runs by them.
#pragma once

#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

#include "common/status.h"
#include "launch/sweep/experiment.h"
#include "launch/sweep/sweep.h"

namespace dcn::launch {

/// As on the command line; empty and 0 are left open.
struct SweepCommandOptions {
  std::string experiment;
  std::string output;
  std::string worker;
  std::string launcher = "auto";
  std::string train_script;
  std::string log_level = "info";
  sweep::Overrides overrides;
  int slots = 0;    // 0: as many as there are processors
  int threads = 0;  // 0: the processors divided by the slots
  int workers = 1;
  int servers = 0;
  std::uint64_t checkpoint_every = 0;
  int max_restarts = 3;
  int stall_timeout = 300;

  [[nodiscard]] bool is_several_processes() const { return workers > 1 || servers > 0; }
  [[nodiscard]] bool uses_train_script() const {
    return launcher == "mpirun" || (launcher == "auto" && is_several_processes());
  }
};

/// Adds them to `app`; `options` must live until it has parsed.
void AddSweepOptions(CLI::App& app, SweepCommandOptions& options);

/// How the runs of `experiment` are started, but for their data: its folder and cache are empty.
/// kInvalidArgument: a program is not there, or options contradict each other.
Result<sweep::SweepOptions> MakeSweepOptions(const SweepCommandOptions& options,
                                             const sweep::Experiment& experiment);

}  // namespace dcn::launch
