// An HTTP server for one file, on loopback, in a process of its own: for tests of downloads.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <sys/types.h>

namespace dcn::testing {

class ArchiveServer {
 public:
  struct Behavior {
    bool honors_ranges = true;
    /// Closes the connection after so many bytes of a body; 0: after all of them.
    std::size_t cut_after = 0;
    /// Answers 404 to everything.
    bool has_nothing = false;
  };

  /// Serves `content` under every path. Each request's head is appended to `log`.
  ArchiveServer(std::string content, Behavior behavior, std::filesystem::path log);
  ~ArchiveServer();
  ArchiveServer(const ArchiveServer&) = delete;
  ArchiveServer& operator=(const ArchiveServer&) = delete;

  /// "http://127.0.0.1:<port>/archive.zip".
  [[nodiscard]] std::string url() const;

 private:
  [[noreturn]] void Serve(int listener) const;
  void Answer(int connection) const;

  std::string content_;
  Behavior behavior_;
  std::filesystem::path log_;
  int port_ = 0;
  pid_t process_ = 0;
};

}  // namespace dcn::testing
