// Runs the runs: starts workers over slots, waits for them, writes the journal, shows progress.
//
// The thin shell around scheduler.h (what next), run_plan.h (which runs, done or not),
// child_process.h (processes and signals) and sweep_chronicle.h (the journal). Ends early, with the
// running workers stopped, when a run fails for good or when this process is told to stop.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/status.h"
#include "launch/sweep/child_process.h"
#include "launch/sweep/journal.h"
#include "launch/sweep/progress.h"
#include "launch/sweep/run_plan.h"

namespace dcn::sweep {

struct SweepOptions {
  WorkerCommand worker;
  int slots = 1;         // runs at a time (>= 1)
  int max_restarts = 3;  // of one run, after it was lost to what can pass (>= 0)
};

/// How a sweep ended.
struct SweepEnd {
  int exit_code = 0;    // 0: every run is finished; 6: stopped by a signal; else the failed run's
  std::string message;  // why it ended early, for stderr; may have several lines
  std::size_t done = 0;
  std::size_t total = 0;
};

/// Runs whichever of `runs` are not finished. Call from the main thread, with `signals` made
/// before any other thread started.
/// A run that cannot be started, as where the disk is full, is tried again, and the others go on;
/// when no others are left, max_restarts times more. Where the journal cannot be written, or
/// checkpoints of finished runs cannot be removed, `display` says so, and the runs go on, too.
SweepEnd RunSweep(const std::vector<PlannedRun>& runs, const SweepOptions& options,
                  const BlockedSignals& signals, Journal& journal, ProgressDisplay& display);

}  // namespace dcn::sweep
