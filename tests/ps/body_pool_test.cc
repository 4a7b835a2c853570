#include "ps/body_pool.h"

#include <gtest/gtest.h>

namespace dcn::ps {
namespace {

TEST(BodyPoolTest, GivesMemoryAgainOnceNobodyLooksAtIt) {
  BodyPool pool;
  std::shared_ptr<Body> first = pool.Take();
  first->resize(1000);
  const std::byte* const memory = first->data();
  std::shared_ptr<const Body> writer = first;  // as a connection that still writes it
  first.reset();
  EXPECT_EQ(pool.size(), 0U);
  std::shared_ptr<Body> second = pool.Take();
  EXPECT_NE(second->data(), memory);

  writer.reset();
  EXPECT_EQ(pool.size(), 1U);
  EXPECT_EQ(pool.Take()->data(), memory);
}

TEST(BodyPoolTest, HoldsAsManyAsWereInUseAtOneTime) {
  BodyPool pool;
  for (int i = 0; i < 100; ++i) {
    const auto first = pool.Take();
    const auto second = pool.Take();
  }
  EXPECT_EQ(pool.size(), 2U);
}

TEST(BodyPoolTest, KeepsNoMoreThanItsLimit) {
  constexpr std::size_t kHalf = BodyPool::kMostKeptBytes / 2;
  BodyPool pool;
  {
    const auto first = pool.Take();
    const auto second = pool.Take();
    const auto third = pool.Take();
    first->reserve(kHalf);
    second->reserve(kHalf);
    third->reserve(100);
  }  // given back from the last to the first
  EXPECT_EQ(pool.size(), 2U);
  const auto again = pool.Take();
  EXPECT_EQ(pool.size(), 1U);
  { const auto other = pool.Take(); }
  EXPECT_EQ(pool.size(), 1U);
}

TEST(BodyPoolTest, BodiesMayOutliveIt) {
  auto pool = std::make_unique<BodyPool>();
  const std::shared_ptr<Body> body = pool->Take();
  pool.reset();
  body->resize(100);
  EXPECT_EQ(body->size(), 100U);
}

}  // namespace
}  // namespace dcn::ps
