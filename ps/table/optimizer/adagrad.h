// Adagrad as in Keras; a pure function over spans.
//
// Rounding order: a = fl(a + fl(g g)); w = fl(w - fl(fl(lr g) / fl(fl(sqrt(a)) + eps))).
// Duchi, Hazan, Singer, "Adaptive subgradient methods", JMLR 12 (2011).
#pragma once

#include <span>

#include "ps/protocol.h"

namespace dcn::ps {

/// One step of a touched row; `accumulator` starts at options.initial_accumulator. All spans have
/// one size and do not overlap.
void AdagradUpdate(const AdagradOptions& options, float learning_rate, std::span<float> w,
                   std::span<float> accumulator, std::span<const float> g);

}  // namespace dcn::ps
