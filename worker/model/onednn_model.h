// The fast engine: explicit forward and backward formulas over slices, products by oneDNN.
#pragma once

#include <cstddef>
#include <memory>

#include "worker/model/dense_model.h"
#include "worker/model/precision.h"

namespace dcn::model {

/// Makes the engine for `threads` callers and slices of 1 to max_slice_rows rows. Slices of exactly
/// max_slice_rows are the fast case (packed weights). SetParameters borrows its argument: the
/// values must stay in place until the next SetParameters.
/// precision: of x0, activations, their gradients, and weights as products read them; each is
/// rounded where it is made (weights in SetParameters). Within a product, within what stands
/// between two, and in all sums over rows it is float32. REQUIRES: CheckBf16 (onednn_isa.h) for
/// bf16. Throws std::runtime_error when oneDNN has no kernel for this machine.
std::unique_ptr<DenseModel> MakeOnednnModel(const ModelSpec& spec, int threads,
                                            std::size_t max_slice_rows,
                                            Precision precision = Precision::kFp32);

}  // namespace dcn::model
