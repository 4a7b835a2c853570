#include "tests/testing/distributed_run.h"

#include <string_view>

namespace dcn::testing {

std::vector<std::string> WorkerCommandLine(int ranks, const std::vector<std::string>& arguments) {
  std::vector<std::string> command;
  if (ranks > 0) {
    command = {"mpirun", "--oversubscribe", "--bind-to", "none", "-np", std::to_string(ranks)};
  }
  command.push_back(BuiltProgram("dcn_worker"));
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

std::vector<std::string> TwoRanks(const std::vector<std::string>& first,
                                  const std::vector<std::string>& second) {
  constexpr const char* kScript =
      "size=$1; shift; if [[ $OMPI_COMM_WORLD_RANK == 0 ]]; then exec \"${@:1:size}\"; fi; "
      "exec \"${@:size+1}\"";
  std::vector<std::string> command = {"mpirun",
                                      "--oversubscribe",
                                      "--bind-to",
                                      "none",
                                      "-np",
                                      "2",
                                      "bash",
                                      "-c",
                                      kScript,
                                      "two_ranks",
                                      std::to_string(first.size())};
  command.insert(command.end(), first.begin(), first.end());
  command.insert(command.end(), second.begin(), second.end());
  return command;
}

std::string DigestIn(const std::string& out) {
  constexpr std::string_view kBefore = "parameter digest ";
  const std::size_t begin = out.find(kBefore);
  if (begin == std::string::npos) return {};
  const std::size_t from = begin + kBefore.size();
  return out.substr(from, out.find('\n', from) - from);
}

}  // namespace dcn::testing
