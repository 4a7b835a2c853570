// A word to the compiler about the loop that follows.
#pragma once

/// The iterations of the next loop do not depend on each other through memory: it may be turned
/// into vector instructions without a check. (Reductions keep their order all the same.)
#if defined(__clang__)
#define DCN_INDEPENDENT_ITERATIONS _Pragma("clang loop vectorize(assume_safety)")
#else
#define DCN_INDEPENDENT_ITERATIONS _Pragma("GCC ivdep")
#endif
