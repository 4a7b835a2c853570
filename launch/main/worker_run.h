// One training run from options to files.
#pragma once

#include "common/status.h"
#include "launch/main/stop_signal.h"
#include "launch/main/worker_options.h"

namespace dcn::launch {

/// Loads the data, trains, evaluates, and writes the results where options.output says. Prints the
/// test RMSE and the parameter digest to stdout. Nothing is written before training has ended.
/// kCancelled: `stop` was requested. Else the status of what failed first.
Status RunWorker(const WorkerOptions& options, StopSignal& stop);

}  // namespace dcn::launch
