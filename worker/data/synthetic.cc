#include "worker/data/synthetic.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <fmt/format.h>

#include "common/check.h"
#include "common/random.h"
#include "worker/data/movielens.h"
#include "worker/data/planted_taste.h"
#include "worker/data/rating_graph.h"

namespace dcn::data {
namespace {

// The shape of MovieLens-1M: how many ratings users give and movies get.
constexpr Quantile kUserActivity[] = {{0, 20},    {.1, 27},  {.25, 44},  {.5, 96},
                                      {.75, 208}, {.9, 400}, {.99, 903}, {1, 2314}};
constexpr Quantile kMoviePopularity[] = {{0, 1},     {.1, 7},   {.25, 33},   {.5, 123},
                                         {.75, 350}, {.9, 729}, {.99, 1783}, {1, 3428}};
constexpr std::uint32_t kLeastUserRatings = 20;
constexpr double kLargestShare = 0.62;  // of all movies by one user, of all users by one movie

// Shares of its users, in 1/1000: M and F, the age buckets, the occupations 0 .. 20.
constexpr double kGenders[] = {717, 283};
constexpr double kAges[] = {37, 182, 347, 198, 91, 82, 63};
constexpr double kOccupations[] = {118, 87, 44, 29, 126, 18, 39, 112, 3,  15, 32,
                                   21,  64, 23, 50, 24,  40, 83, 12,  12, 46};

// Values 0 .. n-1 for the users, as often as `counts` says, in random order.
std::vector<std::uint32_t> Assign(std::span<const std::uint32_t> counts, std::uint64_t seed,
                                  std::string_view stream) {
  std::vector<std::uint32_t> values;
  for (std::uint32_t v = 0; v < counts.size(); ++v) values.insert(values.end(), counts[v], v);
  Shuffle(RandomStream(seed, StreamId(stream)), values);
  return values;
}

std::uint32_t Largest(std::size_t items) {
  return static_cast<std::uint32_t>(std::floor(kLargestShare * static_cast<double>(items)));
}

std::vector<std::uint32_t> Shuffled(std::vector<std::uint32_t> values, std::uint64_t seed,
                                    std::string_view stream) {
  Shuffle(RandomStream(seed, StreamId(stream)), values);
  return values;
}

// Distinct codes of five digits, some with the four more that a few users give.
std::string ZipText(std::uint32_t zip) {
  const std::uint32_t code = (zip * 7919 + 1234) % 100000;  // 7919 has no divisor in common
  return zip % 64 == 63 ? fmt::format("{:05}-{:04}", code, code * 31 % 10000)
                        : fmt::format("{:05}", code);
}

std::vector<double> ZipWeights(std::size_t zips) {
  std::vector<double> weights;
  for (std::size_t zip = 0; zip < zips; ++zip) {
    weights.push_back(1.0 / std::sqrt(static_cast<double>(zip + 10)));
  }
  return weights;
}

std::vector<PlantedUser> MakeUsers(const SyntheticSpec& spec, std::string& text) {
  const auto genders = Assign(Apportion(kGenders, spec.users, 1), spec.seed, "synthetic/gender");
  const auto ages = Assign(Apportion(kAges, spec.users, 1), spec.seed, "synthetic/age");
  const auto occupations =
      Assign(Apportion(kOccupations, spec.users, 1), spec.seed, "synthetic/occupation");
  const auto zips =
      Assign(Apportion(ZipWeights(spec.zips), spec.users, 1), spec.seed, "synthetic/zip");
  std::vector<PlantedUser> users;
  for (std::size_t u = 0; u < spec.users; ++u) {
    users.push_back({.is_male = genders[u] == 0, .age = ages[u]});
    text += fmt::format("{}::{}::{}::{}::{}\n", u + 1, genders[u] == 0 ? 'M' : 'F',
                        kAgeBuckets[ages[u]], occupations[u], ZipText(zips[u]));
  }
  return users;
}

std::string MakeMovies(const SyntheticSpec& spec) {
  constexpr std::string_view kGenres[] = {"Action", "Comedy", "Drama", "Romance", "Thriller"};
  const RandomStream random(spec.seed, StreamId("synthetic/movie"));
  std::string text;
  for (std::size_t m = 0; m < spec.movies; ++m) {
    const auto words = random.Block(m);
    text += fmt::format("{}::Synthetic Movie {} ({})::{}\n", m + 1, m + 1, 1930 + words[0] % 71,
                        kGenres[words[1] % std::size(kGenres)]);
  }
  return text;
}

void AppendRating(std::size_t user, std::size_t movie, std::uint32_t rating, std::uint64_t time,
                  std::string& text) {
  for (const std::uint64_t number :
       {std::uint64_t{user}, std::uint64_t{movie}, std::uint64_t{rating}, time}) {
    const fmt::format_int digits(number);
    text.append(digits.data(), digits.size());
    text += "::";
  }
  text.resize(text.size() - 2);
  text += '\n';
}

void MakeRatings(const SyntheticSpec& spec, std::span<const std::uint32_t> user_counts,
                 std::span<const std::uint32_t> movies, const PlantedTaste& taste,
                 SyntheticFiles& files) {
  constexpr std::size_t kLongestLine = 32;
  files.ratings.reserve(kLongestLine * spec.ratings);
  const RandomStream chance(spec.seed, StreamId("synthetic/rating"));
  const RandomStream pause(spec.seed, StreamId("synthetic/time"));
  double squares = 0;
  std::size_t row = 0;
  for (std::size_t user = 0; user < spec.users; ++user) {
    // As in the original, users joined over 2000, the first ones last; seconds between ratings.
    std::uint64_t time = 978300000 - 3600 * user;
    for (const std::size_t end = row + user_counts[user]; row < end; ++row) {
      const RatingTail tail = taste.Tail(user, movies[row]);
      const std::uint32_t rating = DrawRating(tail, chance.Uniform(row));
      const double error = rating - ExpectedRating(tail);
      squares += error * error;
      time += pause.Word(row) % 32;
      AppendRating(user + 1, movies[row] + 1, rating, time, files.ratings);
    }
  }
  const double rmse = std::sqrt(squares / static_cast<double>(spec.ratings));
  files.noise_floor_rmse = std::round(rmse * 1e6) / 1e6;
}

}  // namespace

Result<SyntheticSpec> MakeSyntheticSpec(std::string_view size, std::uint64_t seed) {
  if (size == "full") {
    return SyntheticSpec{.size = "full",
                         .users = 6040,
                         .movies = 3706,
                         .zips = 3439,
                         .ratings = 1000209,
                         .seed = seed};
  }
  if (size == "small") {
    return SyntheticSpec{
        .size = "small", .users = 400, .movies = 500, .zips = 300, .ratings = 20000, .seed = seed};
  }
  return Error(StatusCode::kInvalidArgument, "no synthetic size {}: expected full or small",
               Quoted(size));
}

std::optional<SyntheticSpec> FindSyntheticSource(std::string_view source) {
  if (source == "synthetic") return MakeSyntheticSpec("full").value();
  if (source == "synthetic-small") return MakeSyntheticSpec("small").value();
  return std::nullopt;
}

SyntheticFiles Synthesize(const SyntheticSpec& spec) {
  SyntheticFiles files;
  const std::vector<PlantedUser> users = MakeUsers(spec, files.users);
  files.movies = MakeMovies(spec);
  const std::vector<std::uint32_t> user_counts = Shuffled(
      CountsLike(kUserActivity, spec.users, spec.ratings, kLeastUserRatings, Largest(spec.movies)),
      spec.seed, "synthetic/activity");
  const std::vector<std::uint32_t> movie_counts =
      Shuffled(CountsLike(kMoviePopularity, spec.movies, spec.ratings, 1, Largest(spec.users)),
               spec.seed, "synthetic/popularity");
  const std::vector<std::uint32_t> movies = DealMovies(user_counts, movie_counts, spec.seed);
  MakeRatings(spec, user_counts, movies, PlantedTaste(users, movie_counts, spec.seed), files);
  return files;
}

Dataset SynthesizeDataset(const SyntheticSpec& spec) {
  const SyntheticFiles files = Synthesize(spec);
  const MovieLensText text{.format = MovieLensFormat::kMl1m,
                           .ratings = files.ratings,
                           .users = files.users,
                           .ratings_name = "synthetic ratings",
                           .users_name = "synthetic users"};
  Result<Dataset> dataset =
      ParseMovieLens(text, "synthetic", Fingerprint(text), files.noise_floor_rmse);
  DCN_CHECK(dataset.ok());
  return std::move(dataset).value();
}

}  // namespace dcn::data
