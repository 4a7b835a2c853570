#include "worker/data/id_index.h"

#include <map>

#include <gtest/gtest.h>

#include "common/random.h"

namespace dcn::data {
namespace {

TEST(IdIndexTest, FindsNothingWhenEmpty) {
  const IdIndex index;
  for (const std::uint32_t id : {1U, 1024U, 0xFFFFFFFFU}) {
    EXPECT_EQ(index.Find(id), IdIndex::kAbsent);
  }
  EXPECT_TRUE(index.ids().empty());
}

TEST(IdIndexTest, NumbersIdsInOrderOfAppearance) {
  IdIndex index;
  EXPECT_EQ(index.FindOrAdd(900), 0U);
  EXPECT_EQ(index.FindOrAdd(0xFFFFFFFFU), 1U);
  EXPECT_EQ(index.FindOrAdd(900), 0U);
  EXPECT_EQ(index.FindOrAdd(1), 2U);
  EXPECT_EQ(index.ids(), (std::vector<std::uint32_t>{900, 0xFFFFFFFFU, 1}));
}

TEST(IdIndexTest, RefusesIdZero) {
  IdIndex index;
  EXPECT_THROW(index.FindOrAdd(0), CheckError);
  EXPECT_THROW(static_cast<void>(index.Find(0)), CheckError);
}

TEST(IdIndexTest, AgreesWithAMapWhileItGrows) {
  const RandomStream random(3, 3);
  for (const std::uint32_t range : {3U, 5000U, 0xFFFFFFFEU}) {
    IdIndex index;
    std::map<std::uint32_t, std::uint32_t> expected;
    for (std::uint64_t i = 0; i < 20'000; ++i) {
      const std::uint32_t id = random.Word(i) % range + 1;
      const auto found = expected.find(id);
      ASSERT_EQ(index.Find(id), found == expected.end() ? IdIndex::kAbsent : found->second);
      const auto number = static_cast<std::uint32_t>(expected.size());
      ASSERT_EQ(index.FindOrAdd(id), expected.try_emplace(id, number).first->second);
    }
    EXPECT_EQ(index.ids().size(), expected.size());
  }
}

}  // namespace
}  // namespace dcn::data
