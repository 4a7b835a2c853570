#include "tests/testing/model_grid.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include <fmt/core.h>

namespace dcn::testing {
namespace {

using model::Activation;
using model::CrossLayerSpec;

NamedSpec MakeSpec(const std::string& name, const std::vector<CrossLayerSpec>& cross,
                   const std::vector<std::uint32_t>& deep) {
  NamedSpec named{.name = name, .spec = {}};
  for (const std::uint32_t width : deep) named.name += fmt::format("_deep{}", width);
  named.spec.name = named.name;
  named.spec.features = {{"a", 11, 5}, {"b", 2, 3}, {"c", 6, 7}};
  named.spec.cross = cross;
  named.spec.deep = deep;
  return named;
}

}  // namespace

std::vector<NamedSpec> ModelGrid() {
  const std::array<std::vector<std::uint32_t>, 3> deep = {{{13, 1}, {}, {9, 6}}};
  std::vector<NamedSpec> grid;
  for (const auto& widths : deep) grid.push_back(MakeSpec("no_cross", {}, widths));
  std::size_t next = 0;  // the deep layers take turns
  for (const std::size_t layers : {std::size_t{1}, std::size_t{3}}) {
    for (const std::uint32_t rank : {0U, 4U}) {
      for (const Activation activation :
           {Activation::kNone, Activation::kRelu, Activation::kTanh, Activation::kSigmoid}) {
        for (const float diag_scale : {0.0F, 0.05F}) {
          const CrossLayerSpec layer{rank, diag_scale, activation};
          const std::string name =
              fmt::format("cross{}_rank{}_{}{}", layers, rank, model::ActivationName(activation),
                          diag_scale != 0 ? "_diag" : "");
          grid.push_back(MakeSpec(name, std::vector<CrossLayerSpec>(layers, layer),
                                  deep[next++ % deep.size()]));
        }
      }
    }
  }
  grid.push_back(MakeSpec(
      "cross3_mixed", {{1, 0, Activation::kSigmoid}, {}, {17, 0.05F, Activation::kRelu}}, deep[0]));
  return grid;
}

}  // namespace dcn::testing
