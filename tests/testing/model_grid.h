// The models on which engines are compared: every kind of cross layer, odd widths, few layers.
#pragma once

#include <string>
#include <vector>

#include "worker/model/model_spec.h"

namespace dcn::testing {

struct NamedSpec {
  std::string name;  // in GoogleTest's letters: "cross3_rank4_tanh_diag_deep13_1"
  model::ModelSpec spec;
};

/// 0, 1 and 3 cross layers, of full rank, of low rank and mixed, with every preactivation, with and
/// without diag_scale; 0, 2 deep layers, one of them a single unit wide. x0 is 5 + 3 + 7 wide.
std::vector<NamedSpec> ModelGrid();

}  // namespace dcn::testing
