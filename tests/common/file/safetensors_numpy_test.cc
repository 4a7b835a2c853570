// A program of its own, so that ctest shows it as skipped where there is no numpy.

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "common/file/safetensors.h"
#include "tests/testing/temporary_folder.h"

namespace dcn {
namespace {

/// What `command` printed; its exit status goes to `status`.
std::string OutputOf(const std::string& command, int& status) {
  FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot start " + command);
  std::string output;
  char buffer[4096];
  while (const std::size_t count = std::fread(buffer, 1, sizeof(buffer), pipe)) {
    output.append(buffer, count);
  }
  status = WEXITSTATUS(::pclose(pipe));
  return output;
}

TEST(SafetensorsNumpyTest, NumpyReadsTheSameValues) {
  const char* const source = std::getenv("DCN_SOURCE_DIR");
  ASSERT_NE(source, nullptr) << "run this test through ctest, which sets DCN_SOURCE_DIR";
  const std::vector<float> table{0.5F, -1.25F, 3e38F, -0.0F, 1e-38F, 0.1F};
  const std::vector<float> bias{1.0F};
  const std::vector<TensorView> tensors{
      {"embedding/user_id", {3, 2}, table}, {"empty", {0, 7}, {}}, {"scalar", {}, bias}};
  const ::dcn::testing::TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "model.safetensors";
  ASSERT_TRUE(WriteSafetensors(path, tensors, {{"format", "dcn"}, {"seed", "7"}}).ok());
  int status = 0;
  const std::string output = OutputOf(
      fmt::format("python3 '{}/tests/common/file/read_safetensors.py' '{}'", source, path.string()),
      status);
  if (status == 77 || status == 127) {
    GTEST_SKIP() << "python3 with numpy is not installed, so no other program reads the file";
  }
  ASSERT_EQ(status, 0);
  EXPECT_EQ(output,
            "metadata {\"format\": \"dcn\", \"seed\": \"7\"}\n"
            "embedding/user_id [3, 2] 3f000000 bfa00000 7f61b1e6 80000000 006ce3ee 3dcccccd\n"
            "empty [0, 7] \n"
            "scalar [] 3f800000\n");
}

}  // namespace
}  // namespace dcn
