// One training run, from what was set up to files.
#pragma once

#include "common/status.h"
#include "launch/job/job_ranks.h"
#include "launch/main/run_stop.h"
#include "launch/main/worker_setup.h"
#include "worker/export/step_file.h"

namespace dcn::launch {

/// Trains and evaluates; called by all ranks. Rank 0 writes the results where the output option
/// says, and prints the test RMSE and the parameter digest to stdout. Nothing is written before
/// training has ended, but to step_file. kCancelled: `stop` was requested. Else the status of what
/// failed first; the other ranks may wait for this one then.
[[nodiscard]] Status RunWorker(const WorkerSetup& setup, job::JobRanks& ranks, RunStop& stop,
                               output::StepFile& step_file);

}  // namespace dcn::launch
