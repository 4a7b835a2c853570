#include "launch/job/launcher.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace dcn::job {

bool IsUnderLauncher() {
  return std::any_of(std::begin(kRankVariables), std::end(kRankVariables),
                     [](const char* name) { return std::getenv(name) != nullptr; });
}

Status CheckLauncherSize(int ranks) {
  for (const char* const name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    const char* const text = std::getenv(name);
    if (text == nullptr) continue;
    // The first that there is: mpirun's daemons, and so its ranks, may be tasks of a Slurm step.
    if (std::atoi(text) <= 1 || std::atoi(text) == ranks) return Status();
    return Error(
        StatusCode::kInvalidArgument,
        "{} says {} processes, and MPI sees {}: start with the mpirun of the Open MPI that "
        "this was built with, or with srun --mpi=pmix",
        name, text, ranks);
  }
  return Status();
}

}  // namespace dcn::job
