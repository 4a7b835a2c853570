// The synthetic data set as a folder in MovieLens-1M's format, with a note that says what it is.
//
// The note is written first and the ratings last: whatever interrupts the writing, drawn ratings
// never pass for MovieLens'.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "common/status.h"
#include "worker/data/synthetic.h"

namespace dcn::data {

/// Name of the note beside ratings.dat: a JSON object with "seed", "size", "version",
/// "noise_floor_rmse" and "fingerprint".
inline constexpr std::string_view kSyntheticNoteName = "synthetic.json";

/// What a reader needs of the note.
struct SyntheticNote {
  double noise_floor_rmse = 0;
  std::string fingerprint;  // of the files beside it: Fingerprint of movielens.h
};

/// Draws `spec` and writes ratings.dat, users.dat, movies.dat and the note, each atomically. The
/// folder is made where it is missing (its parent must exist). Files that are there with the same
/// bytes are left alone, so that an interrupted call can be repeated.
/// kAlreadyExists: a file of other content is there; nothing was written.
/// Others: as WriteFileAtomically.
Status WriteSyntheticFolder(const std::filesystem::path& folder, const SyntheticSpec& spec);

/// Nothing where there is no note. kDataLoss: it is malformed, or no file.
Result<std::optional<SyntheticNote>> ReadSyntheticNote(const std::filesystem::path& folder);

}  // namespace dcn::data
