#include "worker/data/synthetic_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/ordinary_user.h"
#include "tests/testing/temporary_folder.h"
#include "worker/data/movielens.h"

namespace dcn::data {
namespace {

namespace fs = std::filesystem;
using ::dcn::testing::AsOrdinaryUser;
using ::dcn::testing::ReadText;
using ::dcn::testing::TemporaryFolder;
using ::dcn::testing::WriteText;
using ::testing::HasSubstr;

SyntheticSpec Small(std::uint64_t seed = kSyntheticSeed) {
  return MakeSyntheticSpec("small", seed).value();
}

void ExpectStatus(const Status& status, StatusCode code, const std::string& text) {
  EXPECT_EQ(status.code(), code);
  EXPECT_THAT(status.message(), HasSubstr(text));
}

TEST(SyntheticFolderTest, WritesAllFilesAndTheNote) {
  const TemporaryFolder temporary;
  const fs::path folder = temporary.path() / "synthetic";
  ASSERT_TRUE(WriteSyntheticFolder(folder, Small()).ok());
  const SyntheticFiles files = Synthesize(Small());
  EXPECT_EQ(ReadText(folder / "ratings.dat"), files.ratings);
  EXPECT_EQ(ReadText(folder / "users.dat"), files.users);
  EXPECT_EQ(ReadText(folder / "movies.dat"), files.movies);
  const SyntheticNote note = ReadSyntheticNote(folder).value().value();
  EXPECT_EQ(note.noise_floor_rmse, files.noise_floor_rmse);
  EXPECT_EQ(note.fingerprint, Fingerprint(MovieLensFolder::Open(folder).value().text()));
  EXPECT_THAT(
      ReadText(folder / "synthetic.json"),
      AllOf(HasSubstr("\"seed\": 1"), HasSubstr("\"size\": \"small\""), HasSubstr("no real user")));
}

TEST(SyntheticFolderTest, GoesOnWhereItWasInterrupted) {
  const TemporaryFolder folder;
  ASSERT_TRUE(WriteSyntheticFolder(folder.path(), Small()).ok());
  const std::string ratings = ReadText(folder.path() / "ratings.dat");
  const auto users_time = fs::last_write_time(folder.path() / "users.dat");
  ASSERT_TRUE(WriteSyntheticFolder(folder.path(), Small()).ok());
  fs::remove(folder.path() / "ratings.dat");
  ASSERT_TRUE(WriteSyntheticFolder(folder.path(), Small()).ok());
  EXPECT_EQ(ReadText(folder.path() / "ratings.dat"), ratings);
  EXPECT_EQ(fs::last_write_time(folder.path() / "users.dat"), users_time);
}

TEST(SyntheticFolderTest, NeverReplacesOtherData) {
  for (const char* name : {"ratings.dat", "users.dat", "movies.dat", "synthetic.json", "u.data"}) {
    const TemporaryFolder folder;
    WriteText(folder.path() / name, "precious");
    ExpectStatus(WriteSyntheticFolder(folder.path(), Small()), StatusCode::kAlreadyExists,
                 "nothing was written");
    EXPECT_EQ(ReadText(folder.path() / name), "precious");
    EXPECT_EQ(folder.EntryCount(), 1U) << name;
  }
  const TemporaryFolder folder;
  ASSERT_TRUE(WriteSyntheticFolder(folder.path(), Small(1)).ok());
  ExpectStatus(WriteSyntheticFolder(folder.path(), Small(2)), StatusCode::kAlreadyExists,
               "synthetic.json: there is a file of other content");
}

TEST(SyntheticFolderTest, SaysWhyTheFolderCannotBeMade) {
  const TemporaryFolder folder;
  WriteText(folder.path() / "file", "");
  ExpectStatus(WriteSyntheticFolder(folder.path() / "file", Small()), StatusCode::kInvalidArgument,
               "cannot make the folder");
  ExpectStatus(WriteSyntheticFolder(folder.path() / "a" / "b", Small()),
               StatusCode::kInvalidArgument, "No such file or directory");
  const AsOrdinaryUser ordinary;
  EXPECT_FALSE(WriteSyntheticFolder("/dcn-not-permitted", Small()).ok());
}

TEST(SyntheticFolderTest, ReadsNoNoteWhereThereIsNone) {
  const TemporaryFolder folder;
  EXPECT_FALSE(ReadSyntheticNote(folder.path()).value().has_value());
}

TEST(SyntheticFolderTest, RefusesAMalformedNote) {
  const TemporaryFolder folder;
  for (const char* text :
       {"", "{", "[]", "1", "{}", R"({"noise_floor_rmse": "1", "fingerprint": "x"})",
        R"({"noise_floor_rmse": 1})", R"({"noise_floor_rmse": 1, "fingerprint": 3})"}) {
    WriteText(folder.path() / "synthetic.json", text);
    const auto note = ReadSyntheticNote(folder.path());
    ASSERT_FALSE(note.ok()) << text;
    ExpectStatus(note.status(), StatusCode::kDataLoss, "synthetic.json");
  }
}

}  // namespace
}  // namespace dcn::data
