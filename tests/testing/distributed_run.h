// Runs of dcn_worker as several processes, for tests.
#pragma once

#include <string>
#include <vector>

#include "tests/testing/command.h"

namespace dcn::testing {

/// The command line of dcn_worker with `arguments`, under mpirun where ranks > 0 (so also for one
/// rank), else as a process of its own.
std::vector<std::string> WorkerCommandLine(int ranks, const std::vector<std::string>& arguments);

/// Two ranks under mpirun, each with a command of its own. A shell tells them apart: Open
/// MPI 5.0.7, as in Debian 13, crashes where a ":" does.
std::vector<std::string> TwoRanks(const std::vector<std::string>& first,
                                  const std::vector<std::string>& second);

/// The parameter digest that a run printed; "" where it printed none.
std::string DigestIn(const std::string& out);

}  // namespace dcn::testing
