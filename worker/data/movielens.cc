#include "worker/data/movielens.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "common/bytes.h"
#include "common/digest.h"
#include "worker/data/id_index.h"
#include "worker/data/rating_scanner.h"
#include "worker/data/vocabulary.h"

namespace dcn::data {
namespace {

struct FileNames {
  std::string_view format;
  std::string_view ratings;
  std::string_view users;
};
constexpr FileNames kFiles[] = {
    {"ml-1m", "ratings.dat", "users.dat"},
    {"ml-100k", "u.data", "u.user"},
};
const FileNames& FilesOf(MovieLensFormat format) {
  return kFiles[static_cast<std::size_t>(format)];
}

constexpr std::size_t kFeatures = std::size(kMovieLensFeatures);
constexpr std::size_t kUserFeatures = kFeatures - 1;  // all but the movie

struct Users {
  IdIndex index;
  std::vector<UserLine> lines;  // by number in `index`
};

Result<Users> ReadUsers(const MovieLensText& text) {
  Users users;
  std::vector<std::size_t> line_numbers;
  LineReader reader(text.users);
  for (std::string_view line; reader.Next(line);) {
    const LinePlace place{text.users_name, reader.line_number()};
    DCN_ASSIGN_OR_RETURN(UserLine user, ParseUser(text.format, line, place));
    if (const std::uint32_t number = users.index.Find(user.user); number != IdIndex::kAbsent) {
      return LineError(
          place, "each user once",
          fmt::format("user {} again (first in line {})", user.user, line_numbers[number]));
    }
    users.index.FindOrAdd(user.user);
    users.lines.push_back(std::move(user));
    line_numbers.push_back(place.line);
  }
  if (users.lines.empty()) {
    return LineError({text.users_name, 1}, "at least one user", "an empty file");
  }
  return users;
}

// The texts of one user's features, in the order of kMovieLensFeatures from user_id on.
std::array<std::string, kUserFeatures> UserValues(const UserLine& user) {
  return {std::to_string(user.user), user.zip, user.occupation, user.is_male ? "1" : "0",
          std::to_string(user.age_bucket)};
}

// A data set's vocabularies, and the table rows of each user and movie by their number.
struct Encoding {
  std::vector<Vocabulary> vocabularies;
  std::vector<std::uint32_t> movie_rows;
  std::vector<std::array<std::uint32_t, kUserFeatures>> user_rows;  // 0s for users without rating
};

Encoding Encode(const Users& users, const ScannedRatings& ratings) {
  std::vector<bool> is_rated(users.lines.size());
  for (const ScannedRating& rating : ratings.ratings) is_rated[rating.user] = true;

  std::array<std::vector<std::string>, kFeatures> values;
  for (const std::uint32_t id : ratings.movies.ids()) values[0].push_back(std::to_string(id));
  for (std::size_t number = 0; number < users.lines.size(); ++number) {
    if (!is_rated[number]) continue;
    auto user_values = UserValues(users.lines[number]);
    for (std::size_t f = 0; f < kUserFeatures; ++f) {
      values[f + 1].push_back(std::move(user_values[f]));
    }
  }

  Encoding encoding;
  for (std::size_t f = 0; f < kFeatures; ++f) {
    const std::string_view feature = kMovieLensFeatures[f];
    const bool is_integer = feature == "user_gender" || feature == "bucketized_user_age";
    encoding.vocabularies.push_back(
        MakeVocabulary(std::string(feature), is_integer, std::move(values[f])));
  }
  for (const std::uint32_t id : ratings.movies.ids()) {
    encoding.movie_rows.push_back(TableRow(encoding.vocabularies[0], std::to_string(id)));
  }
  encoding.user_rows.resize(users.lines.size());
  for (std::size_t number = 0; number < users.lines.size(); ++number) {
    if (!is_rated[number]) continue;
    const auto user_values = UserValues(users.lines[number]);
    for (std::size_t f = 0; f < kUserFeatures; ++f) {
      encoding.user_rows[number][f] = TableRow(encoding.vocabularies[f + 1], user_values[f]);
    }
  }
  return encoding;
}

// What a parsed Dataset points into.
struct Arrays {
  std::vector<std::uint32_t> ids;
  std::vector<float> labels;
};

std::shared_ptr<const Arrays> FillArrays(const Encoding& encoding,
                                         const std::vector<ScannedRating>& ratings) {
  auto arrays = std::make_shared<Arrays>();
  arrays->ids.resize(ratings.size() * kFeatures);
  arrays->labels.resize(ratings.size());
  for (std::size_t row = 0; row < ratings.size(); ++row) {
    const ScannedRating& rating = ratings[row];
    std::uint32_t* const ids = &arrays->ids[row * kFeatures];
    ids[kMovieFeature] = encoding.movie_rows[rating.movie];
    std::copy_n(encoding.user_rows[rating.user].data(), kUserFeatures, ids + 1);
    arrays->labels[row] = static_cast<float>(rating.rating);
  }
  return arrays;
}

bool Exists(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

// Opens a file of a data set. kDataLoss: it is there, but cannot be read as a file.
Result<MappedFile> OpenData(const std::filesystem::path& path) {
  Result<MappedFile> file = MappedFile::Open(path);
  if (file.status().code() != StatusCode::kInvalidArgument) return file;
  return Status(StatusCode::kDataLoss, file.status().message());
}

// The folder a user probably meant: the archives unpack into one of their own.
std::string Suggestion(const std::filesystem::path& folder) {
  for (const FileNames& files : kFiles) {
    const std::filesystem::path inner = folder / files.format;
    if (Exists(inner / files.ratings)) return fmt::format(" (did you mean {}?)", inner.string());
  }
  return "";
}

Result<MovieLensFormat> DetectFormat(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    return Error(StatusCode::kNotFound,
                 "{}: {}; expected a folder with ratings.dat and users.dat (MovieLens-1M) or "
                 "u.data and u.user (MovieLens-100K)",
                 folder.string(), Exists(folder) ? "is not a folder" : "no such folder");
  }
  const bool has_1m = Exists(folder / kFiles[0].ratings);
  const bool has_100k = Exists(folder / kFiles[1].ratings);
  if (has_1m && has_100k) {
    return Error(StatusCode::kDataLoss,
                 "{}: expected ratings.dat or u.data, found both: keep each data set in a folder "
                 "of its own",
                 folder.string());
  }
  if (!has_1m && !has_100k) {
    return Error(StatusCode::kNotFound,
                 "{}: expected ratings.dat and users.dat (MovieLens-1M) or u.data and u.user "
                 "(MovieLens-100K), found neither ratings.dat nor u.data{}",
                 folder.string(), Suggestion(folder));
  }
  return has_1m ? MovieLensFormat::kMl1m : MovieLensFormat::kMl100k;
}

}  // namespace

std::string_view FormatName(MovieLensFormat format) { return FilesOf(format).format; }

std::string Fingerprint(const MovieLensText& text) {
  Digest128 digest;
  for (const std::string_view part : {FormatName(text.format), text.ratings, text.users}) {
    std::string length;  // before each part: a byte that moves to the next one shows
    AppendLittleEndian(std::uint64_t{part.size()}, length);
    digest.Update(length);
    digest.Update(part);
  }
  return digest.Hex();
}

Result<Dataset> ParseMovieLens(const MovieLensText& text, std::string name, std::string fingerprint,
                               std::optional<double> noise_floor_rmse) {
  DCN_ASSIGN_OR_RETURN(const Users users, ReadUsers(text));
  DCN_ASSIGN_OR_RETURN(
      const ScannedRatings ratings,
      ScanRatings(text.format, text.ratings, text.ratings_name, users.index, text.users_name));
  Encoding encoding = Encode(users, ratings);
  const std::shared_ptr<const Arrays> arrays = FillArrays(encoding, ratings.ratings);
  return Dataset(std::move(name), std::move(encoding.vocabularies), arrays->ids, arrays->labels,
                 arrays, std::move(fingerprint), noise_floor_rmse);
}

MovieLensFolder::MovieLensFolder(MovieLensFormat format, const std::filesystem::path& folder,
                                 MappedFile ratings, MappedFile users)
    : format_(format),
      ratings_name_((folder / FilesOf(format).ratings).string()),
      users_name_((folder / FilesOf(format).users).string()),
      ratings_(std::move(ratings)),
      users_(std::move(users)) {}

Result<MovieLensFolder> MovieLensFolder::Open(const std::filesystem::path& folder) {
  DCN_ASSIGN_OR_RETURN(const MovieLensFormat format, DetectFormat(folder));
  const FileNames& files = FilesOf(format);
  if (!Exists(folder / files.users)) {
    return Error(StatusCode::kNotFound, "{}: expected {} beside {}, found no such file",
                 folder.string(), files.users, files.ratings);
  }
  DCN_ASSIGN_OR_RETURN(MappedFile ratings, OpenData(folder / files.ratings));
  DCN_ASSIGN_OR_RETURN(MappedFile users, OpenData(folder / files.users));
  return MovieLensFolder(format, folder, std::move(ratings), std::move(users));
}

MovieLensText MovieLensFolder::text() const {
  return {.format = format_,
          .ratings = ratings_.text(),
          .users = users_.text(),
          .ratings_name = ratings_name_,
          .users_name = users_name_};
}

}  // namespace dcn::data
