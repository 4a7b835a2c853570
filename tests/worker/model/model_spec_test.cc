#include "worker/model/model_spec.h"

#include <cmath>
#include <limits>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn::model {
namespace {

using ::testing::HasSubstr;

// The tables of MovieLens-1M: 13,221 rows of 32 floats.
std::vector<FeatureSpec> MovieLensFeatures() {
  return {{"movie_id", 3707, 32},           {"user_id", 6041, 32},  {"user_zip_code", 3440, 32},
          {"user_occupation_text", 22, 32}, {"user_gender", 3, 32}, {"bucketized_user_age", 8, 32}};
}

ModelSpec SmallSpec() {
  ModelSpec spec;
  spec.features = {{"a", 4, 5}, {"b", 2, 3}, {"c", 9, 7}};
  spec.cross = {{}, {.projection_dimension = 4}};
  spec.deep = {13, 1};
  return spec;
}

TEST(ModelSpec, CountsTheParametersOfTheExperiment) {
  const std::pair<const char*, std::size_t> expected[] = {
      {"dcn", 534'433}, {"dcn-lowrank", 505'249}, {"dnn", 534'433}};
  for (const auto& [name, count] : expected) {
    const auto spec = NamedModel(name, MovieLensFeatures());
    ASSERT_TRUE(spec.ok()) << spec.status().ToString();
    EXPECT_EQ(spec->name, name);
    EXPECT_EQ(spec->input_width(), 192U);
    EXPECT_EQ(spec->embedding_size(), 423'072U);
    EXPECT_EQ(spec->embedding_size() + spec->dense_size(), count) << name;
  }
}

TEST(ModelSpec, NamesShapesAndOffsetsFollowTheModel) {
  const std::vector<DenseParameter> parameters = SmallSpec().DenseParameters();
  struct Expected {
    std::string name;
    std::vector<std::size_t> shape;
    std::size_t offset;
    std::size_t size;
  };
  const std::vector<Expected> expected = {{"cross/0/kernel", {15, 15}, 0, 225},
                                          {"cross/0/bias", {15}, 225, 15},
                                          {"cross/1/kernel_u", {15, 4}, 240, 60},
                                          {"cross/1/kernel_v", {4, 15}, 300, 60},
                                          {"cross/1/bias", {15}, 360, 15},
                                          {"deep/0/kernel", {15, 13}, 375, 195},
                                          {"deep/0/bias", {13}, 570, 13},
                                          {"deep/1/kernel", {13, 1}, 583, 13},
                                          {"deep/1/bias", {1}, 596, 1},
                                          {"logit/kernel", {1, 1}, 597, 1},
                                          {"logit/bias", {1}, 598, 1}};
  ASSERT_EQ(parameters.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(parameters[i].name, expected[i].name);
    EXPECT_EQ(parameters[i].shape, expected[i].shape) << expected[i].name;
    EXPECT_EQ(parameters[i].offset, expected[i].offset) << expected[i].name;
    EXPECT_EQ(parameters[i].size, expected[i].size) << expected[i].name;
  }
  EXPECT_EQ(SmallSpec().dense_size(), 599U);
  EXPECT_EQ(SmallSpec().embedding_size(), 4U * 5 + 2 * 3 + 9 * 7);
}

TEST(ModelSpec, WithoutCrossAndDeepLayersIsLinearRegression) {
  ModelSpec spec = SmallSpec();
  spec.cross.clear();
  spec.deep.clear();
  EXPECT_TRUE(spec.Validate().ok());
  ASSERT_EQ(spec.DenseParameters().size(), 2U);
  EXPECT_EQ(spec.DenseParameters()[0].shape, (std::vector<std::size_t>{15, 1}));
  EXPECT_EQ(spec.dense_size(), 16U);
}

TEST(ModelSpec, RejectsWhatIsOutOfRangeAndNamesIt) {
  struct Case {
    std::string message;
    void (*change)(ModelSpec&);
  };
  const std::vector<Case> cases = {
      {"no feature", [](ModelSpec& s) { s.features.clear(); }},
      {"feature 1 has an empty name", [](ModelSpec& s) { s.features[1].name.clear(); }},
      {"two features are named \"a\"",
       [](ModelSpec& s) { s.features[2].name = s.features[0].name; }},
      {"feature \"c\": table rows must be", [](ModelSpec& s) { s.features[2].rows = 0; }},
      {"feature \"b\": embedding dimension", [](ModelSpec& s) { s.features[1].dimension = 0; }},
      {"embedding dimension must be 1 to 65536, but is 65537",
       [](ModelSpec& s) { s.features[0].dimension = 65'537; }},
      {"dimensions add up to 65546", [](ModelSpec& s) { s.features[0].dimension = 65'536; }},
      {"cross layer 1: diag_scale must be a finite number >= 0, but is -0.5",
       [](ModelSpec& s) { s.cross[1].diag_scale = -0.5F; }},
      {"cross layer 0: diag_scale",
       [](ModelSpec& s) { s.cross[0].diag_scale = std::numeric_limits<float>::quiet_NaN(); }},
      {"cross layer 0: diag_scale",
       [](ModelSpec& s) { s.cross[0].diag_scale = std::numeric_limits<float>::infinity(); }},
      {"cross layer 1: projection dimension",
       [](ModelSpec& s) { s.cross[1].projection_dimension = 1U << 20; }},
      {"deep layer 1: width must be 1 to", [](ModelSpec& s) { s.deep[1] = 0; }},
      {"deep layer 0: width must be 1 to", [](ModelSpec& s) { s.deep[0] = 1U << 30; }},
  };
  ASSERT_TRUE(SmallSpec().Validate().ok());
  for (const Case& test : cases) {
    ModelSpec spec = SmallSpec();
    test.change(spec);
    const Status status = spec.Validate();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << test.message;
    EXPECT_THAT(status.message(), HasSubstr(test.message));
  }
}

TEST(ModelSpec, NamesOfModelsAndActivationsAreChecked) {
  const auto model = NamedModel("dcn-v3", MovieLensFeatures());
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(model.status().message(), HasSubstr("\"dcn-v3\" is unknown; valid are dcn, "));

  EXPECT_FALSE(NamedModel("dcn", {}).ok());

  for (const auto activation :
       {Activation::kNone, Activation::kRelu, Activation::kTanh, Activation::kSigmoid}) {
    const auto parsed = ParseActivation(ActivationName(activation));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, activation);
  }
  const auto gelu = ParseActivation("gelu");
  ASSERT_FALSE(gelu.ok());
  EXPECT_THAT(gelu.status().message(), HasSubstr("none, relu, tanh and sigmoid"));
}

TEST(ModelSpec, VariantsAreThoseOfTheExperiment) {
  const auto low_rank = NamedModel("dcn-lowrank", MovieLensFeatures());
  ASSERT_TRUE(low_rank.ok());
  ASSERT_EQ(low_rank->cross.size(), 1U);
  EXPECT_EQ(low_rank->cross[0], (CrossLayerSpec{.projection_dimension = 20}));
  EXPECT_EQ(low_rank->deep, (std::vector<std::uint32_t>{192, 192}));
  const auto dnn = NamedModel("dnn", MovieLensFeatures());
  ASSERT_TRUE(dnn.ok());
  EXPECT_TRUE(dnn->cross.empty());
  EXPECT_EQ(dnn->deep, (std::vector<std::uint32_t>{192, 192, 192}));
}

TEST(InitializeDense, KernelsFillTheGlorotRangeAndBiasesAreZero) {
  const auto spec = NamedModel("dcn-lowrank", MovieLensFeatures());
  ASSERT_TRUE(spec.ok());
  std::vector<float> values(spec->dense_size(), 7.0F);
  InitializeDense(*spec, 42, values);
  for (const DenseParameter& parameter : spec->DenseParameters()) {
    const std::span<const float> tensor(values.data() + parameter.offset, parameter.size);
    if (parameter.shape.size() == 1) {
      for (const float value : tensor) ASSERT_EQ(value, 0.0F) << parameter.name;
      continue;
    }
    const double limit =
        std::sqrt(6.0 / static_cast<double>(parameter.shape[0] + parameter.shape[1]));
    double largest = 0;
    double sum = 0;
    double sum_of_squares = 0;
    for (const float value : tensor) {
      largest = std::max(largest, std::abs(double{value}));
      sum += value;
      sum_of_squares += double{value} * value;
    }
    const double count = static_cast<double>(tensor.size());
    EXPECT_LE(largest, limit * (1 + 1e-6)) << parameter.name;
    EXPECT_GE(largest, limit * (1 - 6 / count)) << parameter.name;
    // Mean and second moment of U(-l, l) are 0 and l^2 / 3; five of their standard errors.
    EXPECT_NEAR(sum / count, 0, 5 * limit / std::sqrt(3 * count)) << parameter.name;
    EXPECT_NEAR(sum_of_squares / count, limit * limit / 3,
                5 * limit * limit * std::sqrt(4.0 / 45 / count))
        << parameter.name;
  }
}

TEST(InitializeDense, IsAFunctionOfSeedNameAndIndex) {
  const ModelSpec spec = SmallSpec();
  std::vector<float> first(spec.dense_size());
  std::vector<float> second(spec.dense_size(), 1.0F);
  InitializeDense(spec, 1, first);
  InitializeDense(spec, 1, second);
  EXPECT_EQ(first, second);
  InitializeDense(spec, 2, second);
  EXPECT_NE(first, second);

  // Equal shapes under different names have different values.
  const auto dnn = NamedModel("dnn", MovieLensFeatures());
  ASSERT_TRUE(dnn.ok());
  std::vector<float> deep(dnn->dense_size());
  InitializeDense(*dnn, 1, deep);
  const std::set<float> first_values = {deep[0], deep[192 * 192 + 192],
                                        deep[2 * (192 * 192 + 192)]};
  EXPECT_EQ(first_values.size(), 3U);

  // A parameter keeps its values when other layers come and go before it.
  const auto dcn = NamedModel("dcn", MovieLensFeatures());
  ASSERT_TRUE(dcn.ok());
  std::vector<float> crossed(dcn->dense_size());
  InitializeDense(*dcn, 1, crossed);
  const std::size_t deep_offset = dcn->DenseParameters()[2].offset;
  EXPECT_TRUE(std::equal(deep.begin(), deep.begin() + 192 * 192,
                         crossed.begin() + static_cast<std::ptrdiff_t>(deep_offset)));
}

}  // namespace
}  // namespace dcn::model
