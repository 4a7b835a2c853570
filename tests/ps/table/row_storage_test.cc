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

TEST(RowStorageTest, AnEmptyTableTakesNoMemory) { EXPECT_EQ(RowStorage(96).memory_bytes(), 0U); }

}  // namespace
}  // namespace dcn::ps
