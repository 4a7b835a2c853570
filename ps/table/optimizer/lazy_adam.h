// Lazy Adam: Adam's step over the rows that a batch touches; the other rows stand still.
//
// Another algorithm than the dense form, offered under its own name: m and v do not decay while a
// row is not touched, so nothing is ever replayed. The bias correction counts the job's steps.
#pragma once

#include <span>

#include "ps/protocol.h"
#include "ps/table/optimizer/adam.h"

namespace dcn::ps {

/// One step of a touched row. step_size: of AdamStepSize. All spans have one size.
inline void LazyAdamUpdate(const LazyAdamOptions& options, float step_size, std::span<float> w,
                           std::span<float> m, std::span<float> v, std::span<const float> g) {
  AdamUpdate({.beta_1 = options.beta_1,
              .beta_2 = options.beta_2,
              .epsilon = options.epsilon,
              .step_size = step_size},
             w, m, v, g);
}

}  // namespace dcn::ps
