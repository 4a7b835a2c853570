// The floating-point state that every computing thread shares, so that the same sum has the same
// bits on each of them.
#pragma once

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace dcn {

/// Makes the calling thread read and write denormal floats as zero. Every thread that computes
/// calls it first: a moment that decays towards zero is then also never slow.
/// Elsewhere than on x86 this does nothing, alike on every thread.
inline void FlushDenormalsToZero() {
#if defined(__SSE2__)
  constexpr unsigned int kFlushToZero = 0x8000;
  constexpr unsigned int kDenormalsAreZero = 0x0040;
  _mm_setcsr(_mm_getcsr() | kFlushToZero | kDenormalsAreZero);
#endif
}

}  // namespace dcn
