// What training says of its progress: the text, and when it comes, to a file and to a terminal.
#include "launch/main/progress_line.h"

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <termios.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace dcn::launch {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

File Owned(std::FILE* file) {
  if (file == nullptr) throw std::runtime_error("no file for the test");
  return File(file);
}

// A pseudo terminal: what is written to one end is read at the other, byte for byte.
struct Terminal {
  File reader;
  File writer;

  Terminal() {
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0) {
      throw std::runtime_error("no pseudo terminal for the test");
    }
    reader = Owned(::fdopen(master, "r"));
    const int slave = ::open(::ptsname(master), O_RDWR | O_NOCTTY);
    writer = Owned(::fdopen(slave, "w"));
    termios settings{};
    ::tcgetattr(slave, &settings);
    ::cfmakeraw(&settings);
    ::tcsetattr(slave, TCSANOW, &settings);
  }

  // All that has come so far.
  std::string Read() const {
    std::string text;
    std::array<char, 1024> piece{};
    ssize_t count = 0;
    while ((count = ::read(::fileno(reader.get()), piece.data(), piece.size())) > 0) {
      text.append(piece.data(), static_cast<std::size_t>(count));
    }
    return text;
  }
};

std::string ContentOf(std::FILE* file) {
  std::rewind(file);
  std::string text;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
  return text;
}

// Step `step` of 100 with 100 rows each, ten of them an epoch.
train::Progress At(ps::Step step, double seconds, double loss) {
  return {.step = step,
          .total_steps = 100,
          .epoch = static_cast<std::size_t>(step - 1) / 10,
          .rows = 100,
          .total_rows = step * 100,
          .loss = loss,
          .seconds = seconds};
}

TEST(ProgressLineTest, TextSaysWhereTrainingStandsHowFastItIsAndWhatIsLeft) {
  EXPECT_EQ(ProgressText(At(25, 5, 7), 0.90123),
            "epoch 3  step 25/100  loss 0.9012  500 rows/s  15.0 s left");
  EXPECT_EQ(ProgressText(At(100, 8, 7), 1),
            "epoch 10  step 100/100  loss 1.0000  1250 rows/s  0.0 s left");
}

TEST(ProgressLineTest, TextOfAStepThatTookNoTimeHasNoRate) {
  EXPECT_EQ(ProgressText(At(1, 0, 7), 2), "epoch 1  step 1/100  loss 2.0000  0 rows/s  0.0 s left");
}

TEST(ProgressLineTest, PlainLinesComeEveryFiveSecondsAndAtTheEnd) {
  const File file = Owned(std::tmpfile());
  ProgressLine line(false, file.get());
  line.Update(At(1, 1, 4));
  line.Update(At(2, 4.9, 2));
  EXPECT_EQ(ContentOf(file.get()), "");
  line.Update(At(3, 5, 3));
  line.Update(At(4, 9.9, 1));
  line.Update(At(100, 9.95, 2));
  line.Finish();
  // The loss is the mean since the line before.
  EXPECT_EQ(ContentOf(file.get()),
            "epoch 1  step 3/100  loss 3.0000  60 rows/s  161.7 s left\n"
            "epoch 10  step 100/100  loss 1.5000  1005 rows/s  0.0 s left\n");
}

TEST(ProgressLineTest, TerminalHasOneLineThatIsRedrawnTenTimesASecond) {
  const Terminal terminal;
  ProgressLine line(false, terminal.writer.get());
  line.Update(At(1, 0.09, 1));
  EXPECT_EQ(terminal.Read(), "");
  line.Update(At(2, 0.1, 3));
  EXPECT_EQ(terminal.Read(),
            "\r\x1b[K"
            "epoch 1  step 2/100  loss 2.0000  2000 rows/s  4.9 s left");
  line.Update(At(3, 0.15, 3));
  EXPECT_EQ(terminal.Read(), "");
  line.Update(At(100, 0.16, 4));
  EXPECT_EQ(terminal.Read(),
            "\r\x1b[K"
            "epoch 10  step 100/100  loss 3.5000  62500 rows/s  0.0 s left");
  line.Finish();
  EXPECT_EQ(terminal.Read(), "\n");
  line.Finish();
  EXPECT_EQ(terminal.Read(), "");
}

TEST(ProgressLineTest, QuietPrintsNothing) {
  const File file = Owned(std::tmpfile());
  ProgressLine line(true, file.get());
  line.Update(At(1, 60, 1));
  line.Update(At(100, 120, 1));
  line.Finish();
  EXPECT_EQ(ContentOf(file.get()), "");
}

}  // namespace
}  // namespace dcn::launch
