// Asks the structure rules about this repository.

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/wait.h>
#include <vector>

#include <gtest/gtest.h>

#include "tests/structure/rules.h"

namespace dcn::structure {
namespace {

namespace fs = std::filesystem;

std::string Root() {
  const char* const root = std::getenv("DCN_SOURCE_DIR");
  return root == nullptr ? "." : root;
}

std::string ReadText(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool IsCode(const fs::path& path) {
  return path.extension() == ".h" || path.extension() == ".cc" || path.extension() == ".cu";
}

bool IsScript(const fs::path& path) {
  return path.extension() == ".sh" || path.extension() == ".py" || path.extension() == ".cmake" ||
         path.filename() == "CMakeLists.txt" || path.filename() == "run";
}

// The repository's files that `wanted` accepts, by path.
template <typename Wanted>
std::vector<SourceFile> ReadFiles(Wanted wanted) {
  std::vector<SourceFile> files;
  for (const char* folder : {"common", "ps", "worker", "launch", "tests", "benchmarks", ".ci"}) {
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(Root()) / folder)) {
      if (!entry.is_regular_file() || !wanted(entry.path())) continue;
      files.push_back(
          {fs::relative(entry.path(), Root()).generic_string(), ReadText(entry.path())});
    }
  }
  return files;
}

void Expect(const Complaints& complaints) {
  for (const std::string& complaint : complaints) ADD_FAILURE() << complaint;
}

// What `command` prints, line by line; nothing when it fails.
std::vector<std::string> LinesOf(const std::string& command) {
  FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  std::string output;
  std::array<char, 4096> buffer;
  while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), count);
  }
  if (pclose(pipe) != 0) return {};
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < output.size();) {
    const size_t end = std::min(output.find('\n', begin), output.size());
    lines.push_back(output.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

class RepositoryTest : public ::testing::Test {
 protected:
  // Once for all tests; every test needs most files.
  static void SetUpTestSuite() { code_ = ReadFiles(IsCode); }

  static inline std::vector<SourceFile> code_;
};

TEST_F(RepositoryTest, EveryFolderWasRead) {
  for (const char* folder : {"common/", "ps/", "worker/", "launch/", "tests/"}) {
    EXPECT_TRUE(std::any_of(code_.begin(), code_.end(), [&](const SourceFile& file) {
      return file.path.starts_with(folder) && !file.text.empty();
    })) << folder;
  }
}

TEST_F(RepositoryTest, FollowsTheArrows) {
  for (const SourceFile& file : code_) Expect(CheckIncludeArrows(file));
}

TEST_F(RepositoryTest, KeepsForeignHeadersAtHome) {
  for (const SourceFile& file : code_) Expect(CheckForeignHeaders(file));
  Expect(CheckTorchApartFromOneDnn(code_));
}

TEST_F(RepositoryTest, KeepsNamesAtHome) {
  for (const SourceFile& file : code_) Expect(CheckNames(file));
}

TEST_F(RepositoryTest, HasShortFiles) {
  for (const SourceFile& file : code_) Expect(CheckLength(file));
  const std::vector<SourceFile> scripts = ReadFiles(IsScript);
  EXPECT_FALSE(scripts.empty());
  for (const SourceFile& file : scripts) Expect(CheckLength(file));
}

TEST_F(RepositoryTest, ExplainsItsHeaders) {
  for (const SourceFile& file : code_) {
    if (file.path.ends_with(".h")) Expect(CheckHeader(file));
  }
}

TEST_F(RepositoryTest, IncludesOwnHeadersFirst) { Expect(CheckOwnHeaderFirst(code_)); }

TEST_F(RepositoryTest, HasATidyRoot) {
  // Tracked files and new ones that are not ignored.
  const std::vector<std::string> paths =
      LinesOf("git -C '" + Root() + "' ls-files --cached --others --exclude-standard 2>/dev/null");
  if (paths.empty()) {
    GTEST_SKIP() << "no git or no git checkout at " << Root() << ": cannot tell ignored files";
  }
  Expect(CheckTopLevel(paths));
}

}  // namespace
}  // namespace dcn::structure
