#include "ps/table/row_storage.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace dcn::ps {
namespace {

TEST(RowStorageTest, RecordsStayWhereTheyAreAndApart) {
  for (const std::size_t width : {1U, 2U, 21U, 96U, 99U, 65536U, 300000U}) {
    RowStorage storage(width);
    const std::size_t rows = width > 1000 ? 5 : 10000;
    std::vector<float*> records;
    for (std::size_t i = 0; i < rows; ++i) {
      records.push_back(storage.Append());
      std::fill_n(records.back(), width, static_cast<float>(i));
    }
    ASSERT_EQ(storage.size(), rows);
    for (std::size_t i = 0; i < rows; ++i) {
      EXPECT_EQ(storage.Record(static_cast<std::uint32_t>(i)), records[i]);
      EXPECT_EQ(records[i][0], static_cast<float>(i));
      EXPECT_EQ(records[i][width - 1], static_cast<float>(i));
    }
    EXPECT_GE(storage.memory_bytes(), rows * width * sizeof(float));
  }
}

TEST(RowStorageTest, RecordsOfWholeCacheLinesStartAtOne) {
  RowStorage storage(96);
  for (int i = 0; i < 2000; ++i) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(storage.Append()) % 64, 0U);
  }
}

// Big tables take many chunks at once (of 512 such records each); wide rows are a chunk each, whose
// size may be no multiple of a cache line.
TEST(RowStorageTest, RecordsStayApartInChunksThatAreTakenTogether) {
  for (const std::size_t width : {96U, 65537U}) {
    RowStorage storage(width);
    const std::size_t rows = width == 96 ? 50'000 : 75;
    std::vector<float*> records;
    for (std::size_t i = 0; i < rows; ++i) {
      records.push_back(storage.Append());
      records.back()[0] = static_cast<float>(i);
      records.back()[width - 1] = static_cast<float>(i) + 0.5F;
      if (width > 1000) {
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(records.back()) % 64, 0U);
      }
    }
    for (std::size_t i = 0; i < rows; ++i) {
      ASSERT_EQ(storage.Record(static_cast<std::uint32_t>(i)), records[i]);
      ASSERT_EQ(records[i][0], static_cast<float>(i));
      ASSERT_EQ(records[i][width - 1], static_cast<float>(i) + 0.5F);
    }
    const std::size_t payload = rows * width * sizeof(float);
    EXPECT_GE(storage.memory_bytes(), payload);
    EXPECT_LE(storage.memory_bytes(), payload + (std::size_t{1} << 20));  // of chunks in use only
  }
}

TEST(RowStorageTest, AnEmptyTableTakesNoMemory) { EXPECT_EQ(RowStorage(96).memory_bytes(), 0U); }

}  // namespace
}  // namespace dcn::ps
