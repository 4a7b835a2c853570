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

std::string DigestIn(const std::string& out) {
  constexpr std::string_view kBefore = "parameter digest ";
  const std::size_t begin = out.find(kBefore);
  if (begin == std::string::npos) return {};
  const std::size_t from = begin + kBefore.size();
  return out.substr(from, out.find('\n', from) - from);
}

}  // namespace dcn::testing
