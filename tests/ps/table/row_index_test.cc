#include "ps/table/row_index.h"

#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "common/random.h"

namespace dcn::ps {
namespace {

TEST(RowIndexTest, FindsNothingWhenEmpty) {
  RowIndex index;
  EXPECT_EQ(index.size(), 0U);
  for (const Key key : {Key{0}, Key{1}, std::numeric_limits<Key>::max()}) {
    EXPECT_EQ(index.Find(key), nullptr);
  }
  index.ForEach([](const RowIndex::Entry&) { ADD_FAILURE() << "an entry in an empty index"; });
}

TEST(RowIndexTest, AgreesWithAMapWhileItGrows) {
  RowIndex index;
  std::map<Key, std::uint32_t> slots;
  const RandomStream random(1, 1);
  for (std::uint64_t i = 0; i < 20000; ++i) {
    // Small keys, so that half of them are there already; now and then any 64 bits.
    Key key = BoundedWord(random.Word64(i), 10000);
    if (i % 10 == 0) key = random.Word64(100000 + i);
    RowIndex::Entry* entry = index.Find(key);
    ASSERT_EQ(entry != nullptr, slots.contains(key));
    if (entry == nullptr) {
      slots[key] = static_cast<std::uint32_t>(index.size());
      entry = &index.Insert(key, static_cast<std::uint32_t>(i));
    }
    EXPECT_EQ(entry->slot, slots[key]);
    entry->last_step = static_cast<std::uint32_t>(i);
  }
  EXPECT_EQ(index.size(), slots.size());
  std::map<Key, std::uint32_t> seen;
  index.ForEach([&](const RowIndex::Entry& entry) { seen[entry.key] = entry.slot; });
  EXPECT_EQ(seen, slots);
}

TEST(RowIndexTest, KeysThatCollideAreKeptApart) {
  // All start their search at the same place of an index of 256.
  std::vector<Key> keys;
  for (Key key = 0; keys.size() < 50; ++key) {
    if ((MixKey(key) & 0xff) == 0xff) keys.push_back(key);  // and wrap around the end
  }
  RowIndex index;
  index.Reserve(150);
  ASSERT_EQ(index.memory_bytes(), 256 * sizeof(RowIndex::Entry));
  for (const Key key : keys) index.Insert(key, 7);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    ASSERT_NE(index.Find(keys[i]), nullptr);
    EXPECT_EQ(index.Find(keys[i])->slot, i);
  }
}

TEST(RowIndexTest, ReservedRoomMovesNothing) {
  RowIndex index;
  RowIndex::Entry* const first = &index.Insert(1, 0);
  index.Reserve(12);
  EXPECT_EQ(index.Find(1), first);
  for (Key key = 2; key <= 12; ++key) index.Insert(key, 0);
  EXPECT_EQ(index.Find(1), first);
  index.Insert(13, 0);
  EXPECT_NE(index.Find(1), nullptr);
}

}  // namespace
}  // namespace dcn::ps
