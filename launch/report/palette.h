// Colours that survive print and colour blindness: single-hue ramps from light to dark for
// quantities (told apart by lightness alone), and a set of distinct hues for variants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace dcn::report {

struct Colour {
  std::uint8_t red = 0;
  std::uint8_t green = 0;
  std::uint8_t blue = 0;
  friend bool operator==(const Colour&, const Colour&) = default;
};

/// "#rrggbb".
std::string Hex(const Colour& colour);

/// Hues of the ramps, after ColorBrewer's Blues, Purples and BuGn.
enum class Ramp { kBlue, kPurple, kGreen };

/// The ramp's colour at `position`: 0 lightest, 1 darkest; outside it is clamped, not a number is
/// 0.
Colour RampColour(Ramp ramp, double position);

/// Relative luminance of WCAG 2, in [0, 1].
double Luminance(const Colour& colour);

/// Contrast ratio of WCAG 2, in [1, 21].
double Contrast(const Colour& a, const Colour& b);

/// Black or white, whichever reads better on `background`: a contrast of at least 4.5.
Colour TextColour(const Colour& background);

/// The colour of the n-th variant (Okabe and Ito's set, repeating).
Colour VariantColour(std::size_t variant);

}  // namespace dcn::report
