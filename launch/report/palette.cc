#include "launch/report/palette.h"

#include <array>
#include <cmath>
#include <span>

#include <fmt/format.h>

namespace dcn::report {
namespace {

constexpr Colour FromRgb(std::uint32_t rgb) {
  return {static_cast<std::uint8_t>(rgb >> 16), static_cast<std::uint8_t>(rgb >> 8),
          static_cast<std::uint8_t>(rgb)};
}

constexpr std::array<std::uint32_t, 9> kBlues = {0xf7fbff, 0xdeebf7, 0xc6dbef, 0x9ecae1, 0x6baed6,
                                                 0x4292c6, 0x2171b5, 0x08519c, 0x08306b};
constexpr std::array<std::uint32_t, 9> kPurples = {0xfcfbfd, 0xefedf5, 0xdadaeb, 0xbcbddc, 0x9e9ac8,
                                                   0x807dba, 0x6a51a3, 0x54278f, 0x3f007d};
constexpr std::array<std::uint32_t, 9> kGreens = {0xf7fcfd, 0xe5f5f9, 0xccece6, 0x99d8c9, 0x66c2a4,
                                                  0x41ae76, 0x238b45, 0x006d2c, 0x00441b};
constexpr std::array<std::uint32_t, 6> kVariants = {0x0072b2, 0xd55e00, 0x009e73,
                                                    0xcc79a7, 0xe69f00, 0x56b4e9};

std::span<const std::uint32_t> Anchors(Ramp ramp) {
  switch (ramp) {
    case Ramp::kBlue:
      return kBlues;
    case Ramp::kPurple:
      return kPurples;
    case Ramp::kGreen:
      return kGreens;
  }
  return kBlues;
}

std::uint8_t Mix(std::uint8_t from, std::uint8_t to, double share) {
  return static_cast<std::uint8_t>(std::lround(from + share * (to - from)));
}

double Linear(std::uint8_t channel) {
  const double value = channel / 255.0;
  return value <= 0.04045 ? value / 12.92 : std::pow((value + 0.055) / 1.055, 2.4);
}

}  // namespace

std::string Hex(const Colour& colour) {
  return fmt::format("#{:02x}{:02x}{:02x}", colour.red, colour.green, colour.blue);
}

Colour RampColour(Ramp ramp, double position) {
  const std::span<const std::uint32_t> anchors = Anchors(ramp);
  if (!(position > 0)) return FromRgb(anchors.front());
  if (position >= 1) return FromRgb(anchors.back());
  const double scaled = position * static_cast<double>(anchors.size() - 1);
  const auto index = static_cast<std::size_t>(scaled);
  const double share = scaled - static_cast<double>(index);
  const Colour from = FromRgb(anchors[index]);
  const Colour to = FromRgb(anchors[index + 1]);
  return {Mix(from.red, to.red, share), Mix(from.green, to.green, share),
          Mix(from.blue, to.blue, share)};
}

double Luminance(const Colour& colour) {
  return 0.2126 * Linear(colour.red) + 0.7152 * Linear(colour.green) + 0.0722 * Linear(colour.blue);
}

double Contrast(const Colour& a, const Colour& b) {
  const double x = Luminance(a) + 0.05;
  const double y = Luminance(b) + 0.05;
  return x > y ? x / y : y / x;
}

Colour TextColour(const Colour& background) {
  constexpr Colour kBlack = FromRgb(0x000000);
  constexpr Colour kWhite = FromRgb(0xffffff);
  return Contrast(kBlack, background) >= Contrast(kWhite, background) ? kBlack : kWhite;
}

Colour VariantColour(std::size_t variant) { return FromRgb(kVariants[variant % kVariants.size()]); }

}  // namespace dcn::report
