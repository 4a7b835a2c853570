// What a model is: features, cross layers, deep layers. Everything else (parameter names, shapes,
// counts, first values) follows from it.
//
// The architecture is the Deep & Cross Network, stacked form, of Wang et al., "DCN V2"
// (arXiv:2008.13535): x0 = concatenated embeddings -> cross layers -> deep layers (ReLU) -> logit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace dcn::model {

/// Applied to x W + b inside a cross layer.
enum class Activation { kNone, kRelu, kTanh, kSigmoid };

/// "none", "relu", "tanh", "sigmoid".
std::string_view ActivationName(Activation activation);
/// kInvalidArgument: another name; the message lists the valid ones.
Result<Activation> ParseActivation(std::string_view name);

/// y = x0 * (act(x W + b) + diag_scale * x) + x, elementwise products; W is [width, width], or the
/// product U V of [width, projection_dimension] and [projection_dimension, width].
struct CrossLayerSpec {
  std::uint32_t projection_dimension = 0;  // 0: full rank
  float diag_scale = 0;                    // >= 0
  Activation preactivation = Activation::kNone;
  friend bool operator==(const CrossLayerSpec&, const CrossLayerSpec&) = default;
};

/// One embedding table.
struct FeatureSpec {
  std::string name;
  std::uint64_t rows = 0;       // out-of-vocabulary row included
  std::uint32_t dimension = 0;  // floats a row
  friend bool operator==(const FeatureSpec&, const FeatureSpec&) = default;
};

/// One dense parameter tensor inside the flat vector of all of them.
struct DenseParameter {
  std::string name;                // "cross/0/kernel", "deep/1/bias", "logit/kernel", …
  std::vector<std::size_t> shape;  // kernels [in, out], biases [out]
  std::size_t offset = 0;          // floats from the start of the flat vector
  std::size_t size = 0;            // floats
};

struct ModelSpec {
  std::string name = "dcn";  // as reported
  std::vector<FeatureSpec> features;
  std::vector<CrossLayerSpec> cross;
  std::vector<std::uint32_t> deep;  // widths of the hidden layers; may be empty

  /// Width of x0: the sum of the features' dimensions.
  [[nodiscard]] std::size_t input_width() const;
  /// All dense parameters in model order: cross/…, deep/…, logit/…; offsets without gaps.
  [[nodiscard]] std::vector<DenseParameter> DenseParameters() const;
  /// Floats in the flat vector of dense parameters.
  [[nodiscard]] std::size_t dense_size() const;
  /// Floats in all tables.
  [[nodiscard]] std::size_t embedding_size() const;

  /// kInvalidArgument: what is out of range (a negative diag_scale, a width of 0, no feature, …).
  [[nodiscard]] Status Validate() const;
  friend bool operator==(const ModelSpec&, const ModelSpec&) = default;
};

/// The experiment's variants on the given features: "dcn" (one full cross layer, deep 192, 192),
/// "dcn-lowrank" (projection 20), "dnn" (no cross layer, deep 192, 192, 192).
/// kInvalidArgument: another name; the message lists these.
Result<ModelSpec> NamedModel(std::string_view name, std::vector<FeatureSpec> features);

/// First values of the dense parameters: kernels Glorot uniform, U(-l, l) with
/// l = sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio, AISTATS 2010); biases zero. A function of
/// (seed, parameter name, index). out: [dense_size()].
void InitializeDense(const ModelSpec& spec, std::uint64_t seed, std::span<float> out);

}  // namespace dcn::model
