#include "launch/sweep/journal.h"

#include <csignal>
#include <cstddef>
#include <string>
#include <sys/resource.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/temporary_folder.h"

namespace dcn::sweep {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class JournalTest : public ::testing::Test {
 protected:
  const testing::TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_.path() / "journal.jsonl";
};

TEST_F(JournalTest, KeepsEntriesOverReopening) {
  for (int start = 0; start < 3; ++start) {
    Result<Journal> journal = Journal::Open(file_);
    ASSERT_TRUE(journal.ok()) << journal.status().ToString();
    EXPECT_EQ(journal->earlier_entries().size(), static_cast<std::size_t>(start));
    ASSERT_TRUE(journal->Append({{"event", "started"}, {"start", start}}).ok());
  }
  const Result<JournalText> text = ParseJournal(testing::ReadText(file_), file_);
  ASSERT_TRUE(text.ok());
  ASSERT_EQ(text->entries.size(), 3U);
  EXPECT_EQ(text->entries[2].at("start"), 2);
  EXPECT_THAT(text->entries[2].at("time").get<std::string>(),
              MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"));
}

TEST_F(JournalTest, ForgetsALastLineThatWasCutAnywhere) {
  const std::string whole = "{\"event\":\"started\"}\n";
  const std::string last = "{\"event\":\"finished\",\"seed\":3}\n";
  for (std::size_t kept = 0; kept < last.size(); ++kept) {
    testing::WriteText(file_, whole + last.substr(0, kept));
    Result<Journal> journal = Journal::Open(file_);
    ASSERT_TRUE(journal.ok()) << kept << ": " << journal.status().ToString();
    EXPECT_EQ(journal->earlier_entries().size(), 1U) << kept;
    ASSERT_TRUE(journal->Append({{"event", "started"}}).ok());
    const Result<JournalText> text = ParseJournal(testing::ReadText(file_), file_);
    ASSERT_TRUE(text.ok()) << kept << ": " << text.status().ToString();
    EXPECT_EQ(text->entries.size(), 2U) << kept;
  }
}

TEST_F(JournalTest, NamesALineThatIsNoEntry) {
  for (const char* line : {"nonsense", "[1]", "3", "", "{\"a\":1"}) {
    testing::WriteText(file_, "{}\n" + std::string(line) + "\n{}\n");
    const Result<Journal> journal = Journal::Open(file_);
    ASSERT_FALSE(journal.ok()) << line;
    EXPECT_EQ(journal.status().code(), StatusCode::kDataLoss);
    EXPECT_THAT(journal.status().message(), HasSubstr("journal.jsonl:2: expected one JSON object"));
  }
}

TEST_F(JournalTest, TakesTextThatIsNoUtf8) {
  Result<Journal> journal = Journal::Open(file_);
  ASSERT_TRUE(journal.ok());
  ASSERT_TRUE(journal->Append({{"log_tail", "caf\xe9 \n \xff"}}).ok());
  const Result<JournalText> text = ParseJournal(testing::ReadText(file_), file_);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  EXPECT_EQ(text->entries.size(), 1U);
}

/// No file of this process grows above so many bytes.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(std::size_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

TEST_F(JournalTest, GoesOnAfterAnEntryThatDidNotFit) {
  Result<Journal> journal = Journal::Open(file_);
  ASSERT_TRUE(journal.ok());
  ASSERT_TRUE(journal->Append({{"event", "first"}}).ok());
  const std::size_t size = testing::ReadText(file_).size();
  {
    const FileSizeLimit limit(size + 10);
    const Status status = journal->Append({{"event", "second"}});
    EXPECT_EQ(status.code(), StatusCode::kInternal);
    EXPECT_THAT(status.message(), HasSubstr(file_.string()));
    EXPECT_EQ(testing::ReadText(file_).size(), size + 10);  // a part of it is there
  }
  ASSERT_TRUE(journal->Append({{"event", "third"}}).ok());
  const Result<JournalText> text = ParseJournal(testing::ReadText(file_), file_);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  ASSERT_EQ(text->entries.size(), 2U);
  EXPECT_EQ(text->entries[0].at("event"), "first");
  EXPECT_EQ(text->entries[1].at("event"), "third");
}

TEST_F(JournalTest, CannotLiveInAFolderThatIsNotThere) {
  const Result<Journal> journal = Journal::Open(folder_.path() / "absent" / "journal.jsonl");
  ASSERT_FALSE(journal.ok());
  EXPECT_EQ(journal.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(journal.status().message(), HasSubstr("absent"));
}

}  // namespace
}  // namespace dcn::sweep
