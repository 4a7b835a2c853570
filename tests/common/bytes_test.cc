#include "common/bytes.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dcn {
namespace {

template <typename T>
std::string Appended(T value) {
  std::string out;
  AppendLittleEndian(value, out);
  return out;
}

TEST(BytesTest, LeastSignificantByteComesFirst) {
  EXPECT_EQ(Appended<std::uint8_t>(0x01), "\x01");
  EXPECT_EQ(Appended<std::uint16_t>(0x0102), "\x02\x01");
  EXPECT_EQ(Appended<std::uint32_t>(0x01020304), "\x04\x03\x02\x01");
  EXPECT_EQ(Appended<std::uint64_t>(0x0102030405060708), "\x08\x07\x06\x05\x04\x03\x02\x01");
  EXPECT_EQ(Appended(1.0F), std::string("\x00\x00\x80\x3f", 4));
  EXPECT_EQ(Appended<std::int16_t>(-2), "\xfe\xff");
}

TEST(BytesTest, LoadsWhatItStoredAtAnyAlignment) {
  std::vector<std::byte> buffer(24);
  for (std::size_t offset = 0; offset < 9; ++offset) {
    StoreLittleEndian(-1234.5678, buffer.data() + offset);
    EXPECT_EQ(LoadLittleEndian<double>(buffer.data() + offset), -1234.5678);
    StoreLittleEndian(std::numeric_limits<std::int64_t>::min(), buffer.data() + offset);
    EXPECT_EQ(LoadLittleEndian<std::int64_t>(buffer.data() + offset),
              std::numeric_limits<std::int64_t>::min());
  }
}

TEST(ByteReaderTest, ReadsValuesInTurn) {
  std::string bytes;
  AppendLittleEndian<std::uint8_t>(7, bytes);
  AppendLittleEndian<std::uint32_t>(70'000, bytes);
  AppendString("name", bytes);
  AppendLittleEndian(0.25, bytes);
  bytes += "rest";
  ByteReader reader(AsBytes(bytes));
  EXPECT_EQ(reader.remaining(), bytes.size());
  EXPECT_EQ(reader.Read<std::uint8_t>(), 7);
  EXPECT_EQ(reader.Read<std::uint32_t>(), 70'000U);
  EXPECT_EQ(reader.position(), 5U);
  EXPECT_EQ(reader.ReadString(4), "name");
  EXPECT_EQ(reader.Read<double>(), 0.25);
  const auto rest = reader.ReadBytes(4);
  ASSERT_TRUE(rest);
  EXPECT_EQ(AsText(*rest), "rest");
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(ByteReaderTest, AReadPastTheEndGivesAndTakesNothing) {
  for (std::size_t size = 0; size < 8; ++size) {
    const std::vector<std::byte> bytes(size);
    ByteReader reader(bytes);
    EXPECT_FALSE(reader.Read<std::uint64_t>());
    EXPECT_FALSE(reader.ReadBytes(size + 1));
    EXPECT_FALSE(reader.ReadBytes(std::numeric_limits<std::size_t>::max()));
    std::vector<std::uint16_t> values(size / 2 + 1, 9);
    EXPECT_FALSE(reader.ReadArray(std::span(values)));
    EXPECT_EQ(values, std::vector<std::uint16_t>(size / 2 + 1, 9));
    EXPECT_EQ(reader.position(), 0U);
    EXPECT_TRUE(reader.ReadBytes(size));
  }
}

TEST(ByteReaderTest, ReadsArrays) {
  const float values[] = {1.5F, -2.0F, 0.0F};
  const std::string_view bytes = AsText(std::span<const float>(values));
  for (std::size_t count = 0; count <= 3; ++count) {
    ByteReader reader(AsBytes(bytes));
    std::vector<float> read(count);
    EXPECT_TRUE(reader.ReadArray(std::span(read)));
    EXPECT_EQ(read, std::vector<float>(values, values + count));
    EXPECT_EQ(reader.position(), 4 * count);
  }
}

TEST(ByteReaderTest, RejectsStringLengthAboveLimit) {
  std::string bytes;
  AppendString("12345", bytes);
  ByteReader reader(AsBytes(bytes));
  EXPECT_FALSE(reader.ReadString(4));
  EXPECT_EQ(reader.position(), 0U);
  EXPECT_EQ(reader.ReadString(5), "12345");
}

TEST(ByteReaderTest, RejectsStringsThatAreCutShort) {
  std::string bytes;
  AppendString("12345", bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ByteReader reader(AsBytes(bytes).first(size));
    EXPECT_FALSE(reader.ReadString(100)) << size;
    EXPECT_EQ(reader.position(), 0U);
  }
  const std::string huge = "\xff\xff\xff\xff tail";
  ByteReader reader(AsBytes(huge));
  EXPECT_FALSE(reader.ReadString(std::numeric_limits<std::size_t>::max()));
}

}  // namespace
}  // namespace dcn
