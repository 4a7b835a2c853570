// The rules of the repository's structure, as functions from file texts to complaints.
//
//   common <- ps <- worker <- launch    the arrows of #include; ps/client sees a server only
//                                       through messages: neither ps/table nor ps/server
//   torch, oneDNN, MPI, threads, the environment: each only where it is at home
//   headers: explained, guarded, included first by their own .cc; files: at most 500 lines
//
// rules_test.cc shows each rule complain; repository_test.cc asks them about this repository.
#pragma once

#include <string>
#include <vector>

namespace dcn::structure {

/// A file of the repository; the path is relative to its root.
struct SourceFile {
  std::string path;
  std::string text;
};

/// What is wrong: "path:line: what, and where it belongs".
using Complaints = std::vector<std::string>;

/// Includes follow the arrows and start at the repository's root.
Complaints CheckIncludeArrows(const SourceFile& file);

/// Headers of torch, oneDNN and MPI are included at home only.
Complaints CheckForeignHeaders(const SourceFile& file);

/// No file sees both torch and oneDNN, not through other files either: a LibTorch may bring its own
/// oneDNN headers, of another version.
Complaints CheckTorchApartFromOneDnn(const std::vector<SourceFile>& files);

/// Names that are at home in one place are used nowhere else: getenv, std::thread, asio::detached.
Complaints CheckNames(const SourceFile& file);

/// At most 500 lines.
Complaints CheckLength(const SourceFile& file);

/// A header starts with a comment that explains it and has `#pragma once` before any code.
Complaints CheckHeader(const SourceFile& header);

/// x.cc includes x.h, where that exists among `files`, before anything else.
Complaints CheckOwnHeaderFirst(const std::vector<SourceFile>& files);

/// `paths`: every file that git would keep. The root holds the known entries (and dot files) only,
/// and all of them.
Complaints CheckTopLevel(const std::vector<std::string>& paths);

}  // namespace dcn::structure
