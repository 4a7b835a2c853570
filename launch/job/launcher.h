// Whether this process is one of several that an MPI launcher started.
#pragma once

#include "common/status.h"

namespace dcn::job {

/// Whether mpirun, or srun with an MPI plugin, started this process, by its environment
/// (OMPI_COMM_WORLD_SIZE, PMIX_RANK, PMI_RANK). MPI is used only then: starting it in a process of
/// its own takes .4 s.
[[nodiscard]] bool IsUnderLauncher();

/// Whether `ranks`, as MPI counts them, is what the launcher says (OMPI_COMM_WORLD_SIZE, PMI_SIZE,
/// SLURM_STEP_NUM_TASKS). kInvalidArgument: it is not, as where srun or mpirun is another MPI's:
/// each process would be a run of its own.
[[nodiscard]] Status CheckLauncherSize(int ranks);

/// Variables by which a launcher tells a process that it is a rank. A child that is a program of
/// its own must not inherit them.
inline constexpr const char* kRankVariables[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"};

}  // namespace dcn::job
