#include "launch/sweep/experiment.h"

#include <cstdlib>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/temporary_folder.h"

namespace dcn::sweep {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kWhole = R"(name = "study"
title = "A study"
data = "data/ml-1m"
seeds = [3, 1]

[training]
epochs = 2
learning-rate = 0.01
predictions = true

[[variant]]
name = "dcn"
model = "dcn"

[[variant]]
name = "deep-cross"
[variant.model]
embedding-dimension = 16
deep = [64, 32]
[[variant.model.cross]]
projection-dimension = 20
[[variant.model.cross]]
preactivation = "relu"
diag-scale = 0.5
[variant.training]
epochs = 5
optimizer = "sgd"
)";

TEST(ExperimentTest, ReadsEveryPart) {
  const Result<Experiment> experiment = ParseExperiment(kWhole, "study.toml");
  ASSERT_TRUE(experiment.ok()) << experiment.status().ToString();
  EXPECT_EQ(experiment->name, "study");
  EXPECT_EQ(experiment->title, "A study");
  EXPECT_EQ(experiment->data, "data/ml-1m");
  EXPECT_EQ(experiment->seeds, (std::vector<std::uint64_t>{3, 1}));
  ASSERT_EQ(experiment->variants.size(), 2U);
  EXPECT_EQ(
      experiment->variants[0].options,
      (json{{"epochs", 2}, {"learning-rate", 0.01}, {"predictions", true}, {"model", "dcn"}}));
}

TEST(ExperimentTest, LaysAVariantsTrainingOverTheCommonOne) {
  const Result<Experiment> experiment = ParseExperiment(kWhole, "study.toml");
  ASSERT_TRUE(experiment.ok()) << experiment.status().ToString();
  const json& options = experiment->variants.at(1).options;
  EXPECT_EQ(options.at("epochs"), 5);
  EXPECT_EQ(options.at("optimizer"), "sgd");
  EXPECT_EQ(options.at("learning-rate"), 0.01);
  EXPECT_EQ(
      options.at("model"),
      (json{{"name", "deep-cross"},
            {"embedding-dimension", 16},
            {"deep", {64, 32}},
            {"cross",
             {{{"projection-dimension", 20}}, {{"preactivation", "relu"}, {"diag-scale", 0.5}}}}}));
}

TEST(ExperimentTest, TakesTheNameWhereThereIsNoTitle) {
  const Result<Experiment> experiment = ParseExperiment(
      "name = 'x'\ndata = 'd'\nseeds = [0]\n[[variant]]\nname = 'v'\nmodel = 'dnn'\n", "x.toml");
  ASSERT_TRUE(experiment.ok()) << experiment.status().ToString();
  EXPECT_EQ(experiment->title, "x");
}

struct Mistake {
  const char* what;
  const char* replaced;     // this part of kWhole …
  const char* replacement;  // … becomes this
  const char* place;        // "line: key" that the message must name
  const char* expected;     // and this
};

class ExperimentMistakeTest : public ::testing::TestWithParam<Mistake> {};

TEST_P(ExperimentMistakeTest, IsNamedWithFileLineKeyAndExpectation) {
  const Mistake& mistake = GetParam();
  std::string text = kWhole;
  const std::size_t at = text.find(mistake.replaced);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, std::string(mistake.replaced).size(), mistake.replacement);
  const Result<Experiment> experiment = ParseExperiment(text, "study.toml");
  ASSERT_FALSE(experiment.ok());
  EXPECT_EQ(experiment.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(experiment.status().message(), HasSubstr(std::string("study.toml:") + mistake.place));
  EXPECT_THAT(experiment.status().message(), HasSubstr(mistake.expected));
}

INSTANTIATE_TEST_SUITE_P(
    All, ExperimentMistakeTest,
    ::testing::Values(
        Mistake{"no_toml", "seeds = [3, 1]", "seeds = [3, ", "6: ", "not TOML"},
        Mistake{"key_twice", "data = \"data/ml-1m\"", "name = \"b\"", "3: ", "not TOML"},
        Mistake{"no_name", "name = \"study\"", "", "1: name", "missing, expected a string"},
        Mistake{"name_is_a_number", "\"study\"", "7", "1: name", "expected a string"},
        Mistake{"name_is_empty", "\"study\"", "\"\"", "1: name", "not empty"},
        Mistake{"title_is_a_list", "\"A study\"", "[]", "2: title", "expected a string"},
        Mistake{"no_data", "data = \"data/ml-1m\"", "", "1: data", "missing, expected a string"},
        Mistake{"unknown_key", "title", "titel", "2: titel", "expected one of name, title, data"},
        Mistake{"seeds_are_a_number", "[3, 1]", "3", "4: seeds",
                "expected a list of whole numbers"},
        Mistake{"no_seed", "[3, 1]", "[]", "4: seeds", "expected a list of whole numbers"},
        Mistake{"negative_seed", "[3, 1]", "[3, -1]", "4: seeds", "whole numbers >= 0"},
        Mistake{"fractional_seed", "[3, 1]", "[1.5]", "4: seeds", "whole numbers >= 0"},
        Mistake{"seed_twice", "[3, 1]", "[1,\n1]", "5: seeds: 1", "named twice"},
        Mistake{"training_is_a_text", "[training]",
                "training = 'x'\n[[variant]]\nname = 'q'\nmodel = 'q'\n[variant.training]",
                "6: training", "expected a table of dcn_worker options"},
        Mistake{"training_names_the_seed", "epochs = 2", "seed = 2", "7: training.seed",
                "set by the sweep itself"},
        Mistake{"training_names_the_output", "epochs = 2", "output = 'x'", "7: training.output",
                "set by the sweep itself"},
        Mistake{"option_is_a_list", "epochs = 2", "epochs = [2]", "7: training.epochs",
                "expected a string, a finite number, true or false"},
        Mistake{"option_is_a_date", "epochs = 2", "epochs = 2020-01-01", "7: training.epochs",
                "expected a string, a finite number"},
        Mistake{"option_is_infinite", "epochs = 2", "epochs = inf", "7: training.epochs",
                "finite number"},
        Mistake{"variant_without_name", "name = \"dcn\"\n", "", "11: variant.name", "missing"},
        Mistake{"variant_is_a_path", "name = \"dcn\"", "name = \"../dcn\"", "12: variant.name",
                "cannot name the folder"},
        Mistake{"variant_is_hidden", "name = \"dcn\"", "name = \".dcn\"", "12: variant.name",
                "cannot name the folder"},
        Mistake{"variant_is_a_file_of_ours", "name = \"dcn\"", "name = \"cache\"",
                "12: variant.name", "cannot name the folder"},
        Mistake{"variant_twice", "name = \"dcn\"", "name = \"deep-cross\"", "15: variant.name",
                "named twice"},
        Mistake{"variant_with_unknown_key", "model = \"dcn\"", "modell = \"dcn\"",
                "13: variant.modell", "expected one of name, model, training"},
        Mistake{"variant_without_model", "model = \"dcn\"", "", "11: variant.model", "missing"},
        Mistake{"model_is_a_number", "model = \"dcn\"", "model = 4", "13: variant.model",
                "expected a string"},
        Mistake{"model_with_unknown_key", "deep = [64, 32]", "wide = 1", "19: variant.model.wide",
                "expected one of name, embedding-dimension, deep, cross"},
        Mistake{"cross_with_unknown_key", "projection-dimension", "rank",
                "21: variant.model.cross.rank", "expected one of projection-dimension"},
        Mistake{"own_training_names_data", "epochs = 5", "data = 'x'", "26: variant.training.data",
                "set by the sweep itself"}),
    [](const auto& mistake) { return std::string(mistake.param.what); });

TEST(ExperimentTest, NeedsAVariant) {
  const char* const without[] = {"", "variant = 3\n", "variant = []\n", "variant = [1]\n"};
  for (const std::string variants : without) {
    const Result<Experiment> experiment =
        ParseExperiment("name = 'x'\ndata = 'd'\nseeds = [1]\n" + variants, "x.toml");
    ASSERT_FALSE(experiment.ok()) << variants;
    EXPECT_THAT(experiment.status().message(), HasSubstr("expected [[variant]] tables"));
  }
}

TEST(ExperimentTest, NamesAMissingFile) {
  const testing::TemporaryFolder folder;
  const Result<Experiment> experiment = LoadExperiment(folder.path() / "absent.toml");
  ASSERT_FALSE(experiment.ok());
  EXPECT_EQ(experiment.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(experiment.status().message(), HasSubstr("absent.toml"));
}

TEST(ExperimentTest, ShipsFilesThatRead) {
  const char* root = std::getenv("DCN_SOURCE_DIR");
  if (root == nullptr) GTEST_SKIP() << "DCN_SOURCE_DIR is not set: run through ctest";
  for (const char* name : {"movielens-1m", "movielens-100k", "smoke"}) {
    const Result<Experiment> experiment = LoadExperiment(
        std::filesystem::path(root) / "launch/experiments" / (std::string(name) + ".toml"));
    ASSERT_TRUE(experiment.ok()) << experiment.status().ToString();
    EXPECT_EQ(experiment->name, name);
    EXPECT_EQ(experiment->variants.size(), 3U);
  }
}

class OverridesTest : public ::testing::Test {
 protected:
  Experiment experiment_ = *ParseExperiment(kWhole, "study.toml");
};

TEST_F(OverridesTest, ChangeNothingWhenEmpty) {
  const Experiment before = experiment_;
  ASSERT_TRUE(ApplyOverrides({}, experiment_).ok());
  EXPECT_EQ(experiment_.data, before.data);
  EXPECT_EQ(experiment_.seeds, before.seeds);
  EXPECT_EQ(experiment_.variants, before.variants);
}

TEST_F(OverridesTest, ReplaceDataSeedsVariantsAndEpochs) {
  ASSERT_TRUE(
      ApplyOverrides({.data = "synthetic", .seeds = {7}, .variants = {"deep-cross"}, .epochs = 9},
                     experiment_)
          .ok());
  EXPECT_EQ(experiment_.data, "synthetic");
  EXPECT_EQ(experiment_.seeds, (std::vector<std::uint64_t>{7}));
  ASSERT_EQ(experiment_.variants.size(), 1U);
  EXPECT_EQ(experiment_.variants[0].name, "deep-cross");
  EXPECT_EQ(experiment_.variants[0].options.at("epochs"), 9);
}

TEST_F(OverridesTest, RefuseWhatTheExperimentLacksOrNamesTwice) {
  Status status = ApplyOverrides({.variants = {"dnn"}}, experiment_);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("\"dnn\", expected some of dcn, deep-cross"));
  status = ApplyOverrides({.seeds = {4, 5, 4}}, experiment_);
  EXPECT_THAT(status.message(), HasSubstr("--seeds: 4 is named twice"));
  status = ApplyOverrides({.variants = {"dcn", "dcn"}}, experiment_);
  EXPECT_THAT(status.message(), HasSubstr("--variants: dcn is named twice"));
}

}  // namespace
}  // namespace dcn::sweep
