#include "worker/data/dataset.h"

#include <utility>

#include "common/check.h"

namespace dcn::data {

Dataset::Dataset(std::string name, std::vector<Vocabulary> vocabularies,
                 std::span<const std::uint32_t> ids, std::span<const float> labels,
                 std::shared_ptr<const void> owner, std::string fingerprint,
                 std::optional<double> noise_floor_rmse)
    : name_(std::move(name)),
      fingerprint_(std::move(fingerprint)),
      noise_floor_rmse_(noise_floor_rmse),
      vocabularies_(std::move(vocabularies)),
      ids_(ids),
      labels_(labels),
      owner_(std::move(owner)) {
  DCN_CHECK_EQ(ids_.size(), labels_.size() * vocabularies_.size());
}

}  // namespace dcn::data
