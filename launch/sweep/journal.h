// The history of a sweep: one JSON object a line, on the disk before anything else happens.
//
// For people and for what a later start reports (restarts, times). Whether a run is done is
// decided by its result.json, never by the journal.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/file/file_descriptor.h"
#include "common/status.h"

namespace dcn::sweep {

/// What a journal's text says.
struct JournalText {
  std::vector<nlohmann::json> entries;
  std::size_t whole_bytes = 0;  // up to the last line that is whole: a crash may cut the one after
};

/// Reads a journal. A last line without its end is left out.
/// kDataLoss: another line is not a JSON object (line named; `file` is for the message).
Result<JournalText> ParseJournal(std::string_view text, const std::filesystem::path& file);

/// Appends to one journal file. Move-only. Thread safety: none.
class Journal {
 public:
  /// Opens or creates `file`; a last line that a crash has cut off is removed.
  /// kDataLoss: as ParseJournal. kInvalidArgument, kInternal: it cannot be opened or written.
  static Result<Journal> Open(const std::filesystem::path& file);

  /// What was there when it was opened.
  [[nodiscard]] const std::vector<nlohmann::json>& earlier_entries() const { return earlier_; }

  /// Adds `entry` with the current "time" (UTC, ISO 8601) and syncs it to the disk.
  /// kInternal: not written, or perhaps not on the disk; the next one is written all the same,
  /// where that is possible.
  Status Append(nlohmann::json entry);

 private:
  Journal(std::filesystem::path file, FileDescriptor descriptor, JournalText text);
  [[nodiscard]] Status RemoveTornLine();

  std::filesystem::path file_;
  FileDescriptor descriptor_;
  std::vector<nlohmann::json> earlier_;
  std::size_t whole_bytes_;  // of whole lines
  bool is_torn_ = false;     // a part of a line may stand below them
};

}  // namespace dcn::sweep
