#include "launch/main/tool_process.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file/file_descriptor.h"

extern char** environ;  // POSIX leaves the declaration to us

namespace dcn::launch {
namespace {

// What posix_spawn does in the child before it becomes the tool.
class SpawnActions {
 public:
  SpawnActions() { posix_spawn_file_actions_init(&actions_); }
  ~SpawnActions() { posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;

  [[nodiscard]] posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

// All that comes until the other side closes.
std::string ReadAll(int fd) {
  std::string all;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return all;
    all.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

Result<int> WaitForExit(pid_t process, const std::string& tool) {
  int state = 0;
  while (::waitpid(process, &state, 0) < 0) {
    if (errno != EINTR) {
      return Error(StatusCode::kInternal, "cannot wait for {}: {}", tool, std::strerror(errno));
    }
  }
  return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
}

}  // namespace

Result<ToolResult> RunTool(const std::vector<std::string>& argv, ToolOutput output,
                           const std::filesystem::path& input) {
  const FileDescriptor input_file(::open(input.c_str(), O_RDONLY | O_CLOEXEC));
  if (!input_file.is_open()) {
    return FileError(StatusCode::kInternal, "cannot open", input, errno);
  }
  FileDescriptor read_end;
  FileDescriptor write_end;
  SpawnActions actions;
  posix_spawn_file_actions_adddup2(actions.get(), input_file.get(), STDIN_FILENO);
  if (output == ToolOutput::kCaptured) {
    std::array<int, 2> ends;
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
      return Error(StatusCode::kInternal, "cannot make a pipe: {}", std::strerror(errno));
    }
    read_end = FileDescriptor(ends[0]);
    write_end = FileDescriptor(ends[1]);
    posix_spawn_file_actions_adddup2(actions.get(), write_end.get(), STDOUT_FILENO);
  }

  std::vector<char*> pointers;
  for (const std::string& argument : argv) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  pid_t process = 0;
  const int error =
      ::posix_spawnp(&process, pointers[0], actions.get(), nullptr, pointers.data(), environ);
  if (error != 0) {
    return Error(StatusCode::kInternal, "cannot run {}: {}{}", argv[0], std::strerror(error),
                 error == ENOENT ? "; install it (on Debian and Ubuntu: apt-get install curl "
                                   "unzip coreutils) and repeat the command"
                                 : "");
  }
  write_end.Close();
  ToolResult result;
  if (read_end.is_open()) result.output = ReadAll(read_end.get());
  DCN_ASSIGN_OR_RETURN(result.exit_code, WaitForExit(process, argv[0]));
  return result;
}

}  // namespace dcn::launch
