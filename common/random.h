// Random values as a pure function of (seed, stream, index): no state, no order of calls.
//
// A row's first value, a shuffle, a planted factor: each is the same whoever computes it, when, on
// however many threads or servers. The generator is Philox4x32-10 (Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011) from the Random123 library.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace dcn {

/// One sequence of random words, addressed by index. Copyable, immutable, safe to share.
class RandomStream {
 public:
  /// seed: the experiment's; stream: what the values are for (see StreamId).
  RandomStream(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}

  /// The four 32-bit words of counter `block`; block b holds words 4b .. 4b+3.
  [[nodiscard]] std::array<std::uint32_t, 4> Block(std::uint64_t block) const;

  /// The 32-bit word number `index`.
  [[nodiscard]] std::uint32_t Word(std::uint64_t index) const;

  /// 64 bits: words 2*index and 2*index + 1.
  [[nodiscard]] std::uint64_t Word64(std::uint64_t index) const;

  /// Uniform in [0, 1), a multiple of 2^-53; takes the place of Word64(index).
  [[nodiscard]] double Uniform(std::uint64_t index) const;

  /// Standard normal (Box-Muller over Word64(2*index) and Word64(2*index + 1)).
  [[nodiscard]] double Normal(std::uint64_t index) const;

  /// Fills `out` with float32 values uniform in [-limit, limit): out[i] comes from Word(first + i).
  /// REQUIRES: first is a multiple of 4.
  void FillUniform(float limit, std::uint64_t first, std::span<float> out) const;

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
};

/// A stream number from a name ("embedding/movie_id", "split"); XXH3-64 of the text.
std::uint64_t StreamId(std::string_view name);

/// Uniform integer in [0, bound) from one 64-bit word (multiply-high, bias below bound / 2^64).
inline std::uint64_t BoundedWord(std::uint64_t word, std::uint64_t bound) {
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(word) * bound) >> 64);
}

/// Permutes `values` in place by Fisher-Yates: for i = n-1 .. 1, swaps i with a uniform j <= i
/// drawn from Word64(i). The same seed and stream give the same permutation everywhere.
void Shuffle(const RandomStream& random, std::span<std::uint32_t> values);

}  // namespace dcn
