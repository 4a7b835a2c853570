// The [model] table of a configuration file: any stack of cross and deep layers.
//
//   [model]
//   name = "my-model"                  # as reported; default "custom"
//   embedding-dimension = 32           # or one for each feature: { user_id = 64, user_gender = 4 }
//   deep = [192, 192]
//   [[model.cross]]                    # one for each cross layer, in order
//   projection-dimension = 20          # 0 or absent: full rank
//   diag-scale = 0.0
//   preactivation = "none"             # or relu, tanh, sigmoid
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <toml++/toml.h>

#include "common/status.h"
#include "worker/data/dataset.h"
#include "worker/model/model_spec.h"

namespace dcn::launch {

/// A model before the data set is known: without the tables' sizes.
struct ModelTable {
  std::string name = "custom";
  std::uint32_t embedding_dimension = 32;                  // of features not named below
  std::map<std::string, std::uint32_t> feature_dimension;  // by feature
  std::vector<model::CrossLayerSpec> cross;
  std::vector<std::uint32_t> deep;
};

/// Reads the table. kInvalidArgument: file, line, key and what was expected.
Result<ModelTable> ParseModelTable(const toml::table& table, const std::string& file);

/// The features of a data set as tables of the given widths.
/// kInvalidArgument: feature_dimension names a feature that the data set does not have.
Result<std::vector<model::FeatureSpec>> MakeFeatures(
    const std::vector<data::Vocabulary>& vocabularies, std::uint32_t embedding_dimension,
    const std::map<std::string, std::uint32_t>& feature_dimension);

}  // namespace dcn::launch
