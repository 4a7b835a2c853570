// Reads MovieLens in its official formats: ml-1m (ratings.dat, users.dat) and ml-100k (u.data,
// u.user). movies.dat and the other files of the archives are not needed and not looked at.
//
// Either the whole data set comes back or the first error in it; there is no partial result.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "common/file/mapped_file.h"
#include "common/status.h"
#include "worker/data/dataset.h"
#include "worker/data/movielens_line.h"

namespace dcn::data {

/// "ml-1m" or "ml-100k".
std::string_view FormatName(MovieLensFormat format);

/// The bytes of the two files, and what messages call them.
struct MovieLensText {
  MovieLensFormat format = MovieLensFormat::kMl1m;
  std::string_view ratings;
  std::string_view users;
  std::string ratings_name;
  std::string users_name;
};

/// XXH3-128 (hex) of the format and both files' bytes.
std::string Fingerprint(const MovieLensText& text);

/// Parses and encodes. Vocabularies hold what occurs in the ratings, users without a rating count
/// for nothing. name, fingerprint, noise_floor_rmse: handed on to the Dataset.
/// kDataLoss: "<file>:<line>: expected …, found …".
Result<Dataset> ParseMovieLens(const MovieLensText& text, std::string name, std::string fingerprint,
                               std::optional<double> noise_floor_rmse = std::nullopt);

/// A folder's two files, mapped.
class MovieLensFolder {
 public:
  /// The format follows from the files that are there.
  /// kNotFound: no such folder, or a file is missing; the message lists what is expected.
  /// kDataLoss: ratings of both formats, or what cannot be read as a file. Others: as
  /// MappedFile::Open.
  static Result<MovieLensFolder> Open(const std::filesystem::path& folder);

  /// Views into the mapped files: valid while this object lives.
  [[nodiscard]] MovieLensText text() const;

 private:
  MovieLensFolder(MovieLensFormat format, const std::filesystem::path& folder, MappedFile ratings,
                  MappedFile users);

  MovieLensFormat format_;
  std::string ratings_name_;
  std::string users_name_;
  MappedFile ratings_;
  MappedFile users_;
};

}  // namespace dcn::data
