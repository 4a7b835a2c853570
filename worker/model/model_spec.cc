#include "worker/model/model_spec.h"

#include <array>
#include <cmath>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "common/check.h"
#include "common/random.h"

namespace dcn::model {
namespace {

constexpr std::array<std::pair<Activation, std::string_view>, 4> kActivations{{
    {Activation::kNone, "none"},
    {Activation::kRelu, "relu"},
    {Activation::kTanh, "tanh"},
    {Activation::kSigmoid, "sigmoid"},
}};

// Bounds far beyond any use, so that no product of sizes overflows.
constexpr std::size_t kMaxWidth = 65'536;
constexpr std::uint64_t kMaxTableRows = std::uint64_t{1} << 40;

// Appends parameters one after the other, without gaps.
class ParameterList {
 public:
  void Add(std::string name, std::vector<std::size_t> shape) {
    std::size_t size = 1;
    for (const std::size_t extent : shape) size *= extent;
    parameters_.push_back({std::move(name), std::move(shape), offset_, size});
    offset_ += size;
  }

  std::vector<DenseParameter> Take() { return std::move(parameters_); }

 private:
  std::vector<DenseParameter> parameters_;
  std::size_t offset_ = 0;
};

Status ValidateFeatures(const std::vector<FeatureSpec>& features) {
  if (features.empty()) {
    return Error(StatusCode::kInvalidArgument, "model: no feature; at least one is needed");
  }
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < features.size(); ++i) {
    const FeatureSpec& feature = features[i];
    if (feature.name.empty()) {
      return Error(StatusCode::kInvalidArgument, "model: feature {} has an empty name", i);
    }
    if (!names.insert(feature.name).second) {
      return Error(StatusCode::kInvalidArgument, "model: two features are named \"{}\"",
                   feature.name);
    }
    if (feature.rows == 0 || feature.rows > kMaxTableRows) {
      return Error(StatusCode::kInvalidArgument,
                   "model: feature \"{}\": table rows must be 1 to {}, but are {}", feature.name,
                   kMaxTableRows, feature.rows);
    }
    if (feature.dimension == 0 || feature.dimension > kMaxWidth) {
      return Error(StatusCode::kInvalidArgument,
                   "model: feature \"{}\": embedding dimension must be 1 to {}, but is {}",
                   feature.name, kMaxWidth, feature.dimension);
    }
  }
  return {};
}

Status ValidateLayers(const ModelSpec& spec) {
  for (std::size_t i = 0; i < spec.cross.size(); ++i) {
    const CrossLayerSpec& layer = spec.cross[i];
    if (!(layer.diag_scale >= 0) || !std::isfinite(layer.diag_scale)) {
      return Error(StatusCode::kInvalidArgument,
                   "model: cross layer {}: diag_scale must be a finite number >= 0, but is {}", i,
                   layer.diag_scale);
    }
    if (layer.projection_dimension > kMaxWidth) {
      return Error(StatusCode::kInvalidArgument,
                   "model: cross layer {}: projection dimension must be 0 (full rank) to {}, but "
                   "is {}",
                   i, kMaxWidth, layer.projection_dimension);
    }
  }
  for (std::size_t i = 0; i < spec.deep.size(); ++i) {
    if (spec.deep[i] == 0 || spec.deep[i] > kMaxWidth) {
      return Error(StatusCode::kInvalidArgument,
                   "model: deep layer {}: width must be 1 to {}, but is {}", i, kMaxWidth,
                   spec.deep[i]);
    }
  }
  return {};
}

}  // namespace

std::string_view ActivationName(Activation activation) {
  for (const auto& [value, name] : kActivations) {
    if (value == activation) return name;
  }
  DCN_CHECK(false && "an Activation outside the enumeration");
  return {};
}

Result<Activation> ParseActivation(std::string_view name) {
  for (const auto& [value, valid_name] : kActivations) {
    if (valid_name == name) return value;
  }
  return Error(StatusCode::kInvalidArgument,
               "preactivation \"{}\" is unknown; valid are none, relu, tanh and sigmoid", name);
}

std::size_t ModelSpec::input_width() const {
  std::size_t width = 0;
  for (const FeatureSpec& feature : features) width += feature.dimension;
  return width;
}

std::vector<DenseParameter> ModelSpec::DenseParameters() const {
  ParameterList parameters;
  const std::size_t width = input_width();
  for (std::size_t i = 0; i < cross.size(); ++i) {
    const std::size_t rank = cross[i].projection_dimension;
    if (rank == 0) {
      parameters.Add(fmt::format("cross/{}/kernel", i), {width, width});
    } else {
      parameters.Add(fmt::format("cross/{}/kernel_u", i), {width, rank});
      parameters.Add(fmt::format("cross/{}/kernel_v", i), {rank, width});
    }
    parameters.Add(fmt::format("cross/{}/bias", i), {width});
  }
  std::size_t in = width;
  for (std::size_t i = 0; i < deep.size(); ++i) {
    parameters.Add(fmt::format("deep/{}/kernel", i), {in, deep[i]});
    parameters.Add(fmt::format("deep/{}/bias", i), {deep[i]});
    in = deep[i];
  }
  parameters.Add("logit/kernel", {in, 1});
  parameters.Add("logit/bias", {1});
  return parameters.Take();
}

std::size_t ModelSpec::dense_size() const {
  const std::vector<DenseParameter> parameters = DenseParameters();
  return parameters.back().offset + parameters.back().size;
}

std::size_t ModelSpec::embedding_size() const {
  std::size_t size = 0;
  for (const FeatureSpec& feature : features) size += feature.rows * feature.dimension;
  return size;
}

Status ModelSpec::Validate() const {
  DCN_RETURN_IF_ERROR(ValidateFeatures(features));
  if (input_width() > kMaxWidth) {
    return Error(StatusCode::kInvalidArgument,
                 "model: the features' dimensions add up to {}; at most {} are possible",
                 input_width(), kMaxWidth);
  }
  return ValidateLayers(*this);
}

Result<ModelSpec> NamedModel(std::string_view name, std::vector<FeatureSpec> features) {
  ModelSpec spec;
  spec.name = name;
  spec.features = std::move(features);
  if (name == "dcn") {
    spec.cross = {CrossLayerSpec{}};
    spec.deep = {192, 192};
  } else if (name == "dcn-lowrank") {
    spec.cross = {CrossLayerSpec{.projection_dimension = 20}};
    spec.deep = {192, 192};
  } else if (name == "dnn") {
    spec.deep = {192, 192, 192};
  } else {
    return Error(StatusCode::kInvalidArgument,
                 "model \"{}\" is unknown; valid are dcn, dcn-lowrank and dnn", name);
  }
  DCN_RETURN_IF_ERROR(spec.Validate());
  return spec;
}

void InitializeDense(const ModelSpec& spec, std::uint64_t seed, std::span<float> out) {
  DCN_CHECK_EQ(out.size(), spec.dense_size());
  for (const DenseParameter& parameter : spec.DenseParameters()) {
    const std::span<float> values = out.subspan(parameter.offset, parameter.size);
    if (parameter.shape.size() == 2) {
      const double fans = static_cast<double>(parameter.shape[0] + parameter.shape[1]);
      const float limit = static_cast<float>(std::sqrt(6.0 / fans));
      RandomStream(seed, StreamId(parameter.name)).FillUniform(limit, 0, values);
    } else {
      for (float& value : values) value = 0;
    }
  }
}

}  // namespace dcn::model
