#include "launch/sweep/log_tail.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string_view>

#include "common/file/file_descriptor.h"
#include "common/file/mapped_file.h"

namespace dcn::sweep {
namespace {

constexpr std::size_t kMaxLineBytes = 500;

std::string ShellQuoted(const std::string& argument) {
  constexpr const char* kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/=:,+@%";
  if (!argument.empty() && argument.find_first_not_of(kPlain) == std::string::npos) return argument;
  std::string quoted = "'";
  for (const char c : argument) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

/// What a terminal may be shown of a line.
std::string Printable(std::string_view line) {
  std::string text;
  for (const char c : line.substr(0, kMaxLineBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) text += c;
  }
  return text;
}

bool EndsWithinLine(const std::filesystem::path& log) {
  const Result<MappedFile> mapped = MappedFile::Open(log);
  return mapped.ok() && !mapped->text().empty() && !mapped->text().ends_with('\n');
}

}  // namespace

Status StartLog(const std::filesystem::path& log, const std::vector<std::string>& argv,
                bool is_continued) {
  const bool is_cut = is_continued && EndsWithinLine(log);  // as where the worker was killed
  std::ofstream file(log, is_continued ? std::ios::app : std::ios::trunc);
  file << (is_cut ? "\n$" : "$");
  for (const std::string& argument : argv) file << " " << ShellQuoted(argument);
  file << "\n";
  file.close();
  if (!file) return FileError(StatusCode::kInternal, "cannot write the log", log, errno);
  return Status();
}

std::string ReadLogTail(const std::filesystem::path& log, std::size_t lines) {
  const Result<MappedFile> mapped = MappedFile::Open(log);
  if (!mapped.ok()) return "";
  std::string_view rest = mapped->text();
  std::vector<std::string> tail;
  while (!rest.empty() && tail.size() < lines) {
    const std::size_t end = rest.find_last_not_of("\r\n");
    if (end == std::string_view::npos) break;
    rest = rest.substr(0, end + 1);
    const std::size_t start = rest.find_last_of("\r\n");
    const std::string_view line = start == std::string_view::npos ? rest : rest.substr(start + 1);
    rest = start == std::string_view::npos ? std::string_view() : rest.substr(0, start);
    if (line.starts_with("$ ")) break;  // the command: another start's output lies before it
    tail.push_back("  " + Printable(line));
  }
  std::string text;
  for (auto line = tail.rbegin(); line != tail.rend(); ++line) {
    if (!text.empty()) text += "\n";
    text += *line;
  }
  return text;
}

}  // namespace dcn::sweep
