#include "tests/structure/rules.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "tests/structure/source_text.h"

namespace dcn::structure {
namespace {

constexpr size_t kMaxLines = 500;

// In the order of the arrows: a folder includes itself and what stands before it.
constexpr std::array<std::string_view, 6> kFolders = {"common", "ps",    "worker",
                                                      "launch", "tests", "benchmarks"};
constexpr std::array<std::string_view, 8> kTopLevel = {
    "CMakeLists.txt", "README.md", "benchmarks", "common", "launch", "ps", "tests", "worker"};

// Something that belongs in few places: `homes` are the beginnings of their paths.
struct Home {
  std::string_view what;
  std::vector<std::string_view> homes;
  std::string_view advice;
};

// The stand-in for CUDA and NCCL has headers of their names.
std::vector<std::string_view> NcclHomes() {
  return {"worker/communicator/nccl", "tests/worker/communicator/nccl",
          "tests/testing/cuda_stand_in/"};
}

const std::vector<Home>& ForeignHeaders() {
  static const std::vector<Home> headers = {
      {"torch/", {"worker/model/torch_model", "tests/worker/model/torch_model"}, "torch_model.h"},
      {"ATen/", {"worker/model/torch_model", "tests/worker/model/torch_model"}, "torch_model.h"},
      {"c10/", {"worker/model/torch_model", "tests/worker/model/torch_model"}, "torch_model.h"},
      {"dnnl", {"worker/model/onednn_", "tests/worker/model/onednn_"}, "onednn_model.h"},
      {"oneapi/dnnl", {"worker/model/onednn_", "tests/worker/model/onednn_"}, "onednn_model.h"},
      {"mpi.h",
       {"worker/communicator/mpi", "launch/main/", "tests/worker/communicator/mpi"},
       "communicator.h"},
      {"nccl.h", NcclHomes(), "worker/communicator/nccl.h"},
      {"cuda", NcclHomes(), "worker/communicator/nccl_device.h"},
      {"driver_types.h", NcclHomes(), "worker/communicator/nccl_device.h"},
      {"boost/asio",
       {"common/net/", "ps/server/server", "ps/client/server_connection", "ps/client/connection_",
        "tests/common/net/", "tests/testing/tcp_proxy"},
       "common/net/connection.h"},
  };
  return headers;
}

const std::vector<Home>& Names() {
  static const std::vector<Home> names = {
      {"getenv", {"launch/", "tests/"}, "take it as an argument from main"},
      {"secure_getenv", {"launch/", "tests/"}, "take it as an argument from main"},
      {"std::thread",
       {"common/thread_pool", "common/named_thread"},
       "use ThreadPool or NamedThread"},
      {"std::jthread", {"common/thread_pool"}, "use ThreadPool"},
      {"std::async", {}, "use ThreadPool"},
      {"pthread_create", {}, "use ThreadPool"},
      {"asio::detached", {}, "start tasks in a TaskScope"},
  };
  return names;
}

bool IsAtHome(std::string_view path, const Home& home) {
  return std::any_of(home.homes.begin(), home.homes.end(),
                     [&](std::string_view prefix) { return path.starts_with(prefix); });
}

std::string FirstFolder(std::string_view path) {
  return std::string(path.substr(0, path.find('/')));
}

// The folder's place along the arrows; kFolders.size() for none of ours.
size_t Rank(std::string_view path) {
  const auto* const found = std::find(kFolders.begin(), kFolders.end(), FirstFolder(path));
  return static_cast<size_t>(found - kFolders.begin());
}

std::string Complaint(std::string_view path, int line, std::string_view text) {
  return fmt::format("{}:{}: {}", path, line, text);
}

// Every file that `path` sees, itself included, following includes within the repository.
std::set<std::string> Reached(const std::string& path,
                              const std::map<std::string, std::vector<Include>>& includes_of) {
  std::set<std::string> reached;
  std::vector<std::string> waiting = {path};
  while (!waiting.empty()) {
    const std::string next = waiting.back();
    waiting.pop_back();
    if (!reached.insert(next).second) continue;
    const auto found = includes_of.find(next);
    if (found == includes_of.end()) continue;
    for (const Include& include : found->second) waiting.push_back(include.path);
  }
  return reached;
}

bool AnyStartsWith(const std::set<std::string>& paths, std::string_view prefix) {
  const auto first = paths.lower_bound(std::string(prefix));
  return first != paths.end() && first->starts_with(prefix);
}

}  // namespace

Complaints CheckIncludeArrows(const SourceFile& file) {
  Complaints complaints;
  const size_t rank = Rank(file.path);
  for (const Include& include : FindIncludes(file.text)) {
    const size_t included = Rank(include.path);
    if (included == kFolders.size()) {
      if (include.quoted) {
        complaints.push_back(
            Complaint(file.path, include.line,
                      fmt::format("\"{}\": quotes are for our files, by their path from the root",
                                  include.path)));
      }
      continue;
    }
    if (included > rank) {
      complaints.push_back(
          Complaint(file.path, include.line,
                    fmt::format("{}/ must not include {}", kFolders[rank], include.path)));
    }
    if (file.path.starts_with("ps/client/") &&
        (include.path.starts_with("ps/table/") || include.path.starts_with("ps/server/"))) {
      complaints.push_back(
          Complaint(file.path, include.line,
                    fmt::format("a client must not include {}: it sees messages only (protocol.h)",
                                include.path)));
    }
  }
  return complaints;
}

Complaints CheckForeignHeaders(const SourceFile& file) {
  Complaints complaints;
  for (const Include& include : FindIncludes(file.text)) {
    for (const Home& header : ForeignHeaders()) {
      if (!include.path.starts_with(header.what) || IsAtHome(file.path, header)) continue;
      complaints.push_back(Complaint(
          file.path, include.line,
          fmt::format("<{}> is not at home here: go through {}", include.path, header.advice)));
    }
  }
  return complaints;
}

Complaints CheckTorchApartFromOneDnn(const std::vector<SourceFile>& files) {
  std::map<std::string, std::vector<Include>> includes_of;
  for (const SourceFile& file : files) includes_of[file.path] = FindIncludes(file.text);
  Complaints complaints;
  for (const SourceFile& file : files) {
    const std::set<std::string> reached = Reached(file.path, includes_of);
    const bool sees_torch = AnyStartsWith(reached, "torch/") || AnyStartsWith(reached, "ATen/") ||
                            AnyStartsWith(reached, "c10/");
    const bool sees_dnnl = AnyStartsWith(reached, "dnnl") || AnyStartsWith(reached, "oneapi/dnnl");
    if (sees_torch && sees_dnnl) {
      complaints.push_back(Complaint(file.path, 1, "sees both torch's and oneDNN's headers"));
    }
  }
  return complaints;
}

Complaints CheckNames(const SourceFile& file) {
  Complaints complaints;
  const std::string code = BlankCommentsAndLiterals(file.text);
  for (const Home& name : Names()) {
    if (IsAtHome(file.path, name)) continue;
    for (const int line : FindName(code, name.what)) {
      complaints.push_back(Complaint(
          file.path, line, fmt::format("{} is not at home here: {}", name.what, name.advice)));
    }
  }
  return complaints;
}

Complaints CheckLength(const SourceFile& file) {
  const size_t lines = SplitLines(file.text).size();
  if (lines <= kMaxLines) return {};
  return {Complaint(file.path, static_cast<int>(lines),
                    fmt::format("longer than {} lines: split it by concept", kMaxLines))};
}

Complaints CheckHeader(const SourceFile& header) {
  Complaints complaints;
  const std::vector<std::string_view> lines = SplitLines(header.text);
  if (lines.empty() || !lines[0].starts_with("// ")) {
    complaints.push_back(Complaint(header.path, 1, "a header starts with what it is and why"));
  }
  const std::string blanked = BlankCommentsAndLiterals(header.text);
  const std::vector<std::string_view> code = SplitLines(blanked);
  const auto first = std::find_if(code.begin(), code.end(), [](std::string_view line) {
    return line.find_first_not_of(" \t") != std::string_view::npos;
  });
  if (first == code.end() || !first->starts_with("#pragma once")) {
    complaints.push_back(Complaint(header.path, static_cast<int>(first - code.begin()) + 1,
                                   "expected #pragma once before anything else"));
  }
  return complaints;
}

Complaints CheckOwnHeaderFirst(const std::vector<SourceFile>& files) {
  std::set<std::string> paths;
  for (const SourceFile& file : files) paths.insert(file.path);
  Complaints complaints;
  for (const SourceFile& file : files) {
    if (!file.path.ends_with(".cc")) continue;
    const std::string own = file.path.substr(0, file.path.size() - 3) + ".h";
    if (!paths.contains(own)) continue;
    const std::vector<Include> includes = FindIncludes(file.text);
    if (includes.empty() || includes.front().path != own) {
      complaints.push_back(Complaint(file.path, includes.empty() ? 1 : includes.front().line,
                                     fmt::format("the first include must be \"{}\"", own)));
    }
  }
  return complaints;
}

Complaints CheckTopLevel(const std::vector<std::string>& paths) {
  std::set<std::string> present;
  for (const std::string& path : paths) present.insert(FirstFolder(path));
  Complaints complaints;
  for (const std::string& entry : present) {
    if (entry.starts_with('.')) continue;
    if (std::find(kTopLevel.begin(), kTopLevel.end(), entry) == kTopLevel.end()) {
      complaints.push_back(entry + ": the root has no place for it");
    }
  }
  for (const std::string_view entry : kTopLevel) {
    if (!present.contains(std::string(entry))) {
      complaints.push_back(fmt::format("{}: missing from the root", entry));
    }
  }
  return complaints;
}

}  // namespace dcn::structure
