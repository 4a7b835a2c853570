#include "common/net/frame.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/bytes.h"
#include "common/check.h"
#include "common/digest.h"
#include "common/random.h"

namespace dcn::net {
namespace {

using HeaderBytes = std::array<std::byte, kFrameHeaderBytes>;

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();
constexpr FrameHeader kHeader = {.type = 0x0102,
                                 .flags = 0x03040506,
                                 .request_id = 0x1112131415161718,
                                 .job_epoch = 0x2122232425262728};

std::vector<std::byte> SomeBody(std::size_t size) {
  const RandomStream random(1, size);
  std::vector<std::byte> body(size);
  for (std::size_t i = 0; i < size; ++i) {
    body[i] = static_cast<std::byte>(random.Uniform(i) * 256);
  }
  return body;
}

void Flip(std::span<std::byte> bytes, std::size_t bit) {
  bytes[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
}

// Makes the header's checksum right again after a change.
void Sign(HeaderBytes& bytes) {
  StoreLittleEndian(Checksum64(std::span(bytes).first(40)), bytes.data() + 40);
}

FrameHeader Header(const HeaderBytes& bytes) {
  const auto decoded = DecodeFrameHeader(bytes, kNoLimit);
  if (std::holds_alternative<FrameHeader>(decoded)) return std::get<FrameHeader>(decoded);
  ADD_FAILURE() << FrameFaultText(std::get<FrameFault>(decoded));
  return {};
}

// The fault that is found; nothing: none.
std::optional<FrameFault> Fault(const HeaderBytes& bytes, std::size_t limit = kNoLimit) {
  const auto decoded = DecodeFrameHeader(bytes, limit);
  if (std::holds_alternative<FrameHeader>(decoded)) return std::nullopt;
  return std::get<FrameFault>(decoded);
}

TEST(FrameTest, DecodesWhatItEncoded) {
  for (const std::size_t size : {0U, 1U, 3U, 4096U, 100'001U}) {
    const std::vector<std::byte> body = SomeBody(size);
    const FrameHeader header = Header(EncodeFrameHeader(kHeader, body));
    EXPECT_EQ(header.type, kHeader.type);
    EXPECT_EQ(header.flags, kHeader.flags);
    EXPECT_EQ(header.request_id, kHeader.request_id);
    EXPECT_EQ(header.job_epoch, kHeader.job_epoch);
    EXPECT_EQ(header.body_bytes, size);
    EXPECT_TRUE(IsBodyIntact(header, body));
  }
}

TEST(FrameTest, TakesLengthAndChecksumFromTheBody) {
  FrameHeader lie = kHeader;
  lie.body_bytes = 7;
  lie.body_checksum = 7;
  EXPECT_EQ(EncodeFrameHeader(lie, SomeBody(3)), EncodeFrameHeader(kHeader, SomeBody(3)));
}

TEST(FrameTest, FieldsStandWhereTheHeaderFileSays) {
  const std::vector<std::byte> body = SomeBody(0x0a0b);
  const HeaderBytes bytes = EncodeFrameHeader(kHeader, body);
  EXPECT_EQ(AsText(std::span<const std::byte>(bytes).first(4)), "DCNF");
  const auto at = [&]<typename T>(std::size_t offset, T) {
    return LoadLittleEndian<T>(bytes.data() + offset);
  };
  EXPECT_EQ(at(4, std::uint16_t{}), 2);
  EXPECT_EQ(at(6, std::uint16_t{}), 0x0102);
  EXPECT_EQ(at(8, std::uint32_t{}), 0x03040506U);
  EXPECT_EQ(at(12, std::uint32_t{}), 0x0a0bU);
  EXPECT_EQ(at(16, std::uint64_t{}), 0x1112131415161718U);
  EXPECT_EQ(at(24, std::uint64_t{}), 0x2122232425262728U);
  EXPECT_EQ(at(32, std::uint64_t{}), Checksum64(body));
  EXPECT_EQ(at(40, std::uint64_t{}), Checksum64(std::span(bytes).first(40)));
}

TEST(FrameTest, FindsEveryFlippedBitOfAHeader) {
  const HeaderBytes good = EncodeFrameHeader(kHeader, SomeBody(100));
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    HeaderBytes bytes = good;
    Flip(bytes, bit);
    EXPECT_EQ(Fault(bytes), bit < 32 ? FrameFault::kMagic : FrameFault::kHeaderChecksum) << bit;
  }
}

TEST(FrameTest, FindsEveryFlippedBitOfABody) {
  for (const std::size_t size : {1U, 3U, 17U, 240U, 241U, 1025U}) {
    std::vector<std::byte> body = SomeBody(size);
    const FrameHeader header = Header(EncodeFrameHeader(kHeader, body));
    for (std::size_t bit = 0; bit < 8 * size; ++bit) {
      Flip(body, bit);
      EXPECT_FALSE(IsBodyIntact(header, body)) << size << " " << bit;
      Flip(body, bit);
    }
    EXPECT_TRUE(IsBodyIntact(header, body));
  }
}

TEST(FrameTest, ABodyOfAnotherLengthIsNotIntact) {
  const std::vector<std::byte> body = SomeBody(100);
  FrameHeader header = Header(EncodeFrameHeader(kHeader, body));
  EXPECT_FALSE(IsBodyIntact(header, std::span(body).first(99)));
  EXPECT_FALSE(IsBodyIntact(header, {}));
  header.body_bytes = 101;
  EXPECT_FALSE(IsBodyIntact(header, body));
}

TEST(FrameTest, RefusesAnotherVersion) {
  HeaderBytes bytes = EncodeFrameHeader(kHeader, {});
  StoreLittleEndian(static_cast<std::uint16_t>(kProtocolVersion + 1), bytes.data() + 4);
  Sign(bytes);
  EXPECT_EQ(Fault(bytes), FrameFault::kVersion);
}

TEST(FrameTest, RefusesBodiesAboveTheLimitAndNoOther) {
  HeaderBytes bytes = EncodeFrameHeader(kHeader, SomeBody(100));
  EXPECT_EQ(Fault(bytes, 101), std::nullopt);
  EXPECT_EQ(Fault(bytes, 100), std::nullopt);
  EXPECT_EQ(Fault(bytes, 99), FrameFault::kBodyTooLong);
  EXPECT_EQ(Fault(bytes, 0), FrameFault::kBodyTooLong);
  StoreLittleEndian(~0U, bytes.data() + 12);
  Sign(bytes);
  EXPECT_EQ(Fault(bytes, std::size_t{1} << 30), FrameFault::kBodyTooLong);
}

TEST(FrameTest, FindsFaultsInTheirOrder) {
  HeaderBytes bytes = EncodeFrameHeader(kHeader, SomeBody(100));
  bytes[4] = std::byte{9};  // the version; the checksum does not fit any more
  EXPECT_EQ(Fault(bytes, 1), FrameFault::kHeaderChecksum);
  Sign(bytes);
  EXPECT_EQ(Fault(bytes, 1), FrameFault::kVersion);
  bytes[0] = std::byte{'H'};
  EXPECT_EQ(Fault(bytes, 1), FrameFault::kMagic);
}

TEST(FrameTest, RefusesWhatOthersSendToAPort) {
  for (const std::string& text :
       {std::string("GET / HTTP/1.1\r\nHost: localhost:7000\r\n\r\n......."),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), std::string(),
        std::string(48, '\xff')}) {
    HeaderBytes bytes = {};
    const auto given = AsBytes(text);
    std::copy_n(given.begin(), std::min(given.size(), bytes.size()), bytes.begin());
    EXPECT_EQ(Fault(bytes), FrameFault::kMagic) << text;
  }
}

TEST(FrameTest, EveryFaultHasATextOfItsOwn) {
  std::set<std::string_view> texts;
  for (std::size_t i = 0; i < kFrameFaults; ++i) {
    texts.insert(FrameFaultText(static_cast<FrameFault>(i)));
  }
  EXPECT_EQ(texts.size(), kFrameFaults);
  EXPECT_FALSE(texts.contains("unknown fault"));
  EXPECT_EQ(FrameFaultText(static_cast<FrameFault>(kFrameFaults)), "unknown fault");
}

TEST(FrameTest, ABodyThatTheLengthFieldCannotHoldIsABug) {
  // No byte of it is looked at.
  static const std::byte first{};
  EXPECT_THROW((void)EncodeFrameHeader(kHeader, {&first, std::size_t{1} << 32}), CheckError);
}

}  // namespace
}  // namespace dcn::net
