#include "worker/checkpoint/dense_file.h"

#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::checkpoint {
namespace {

using ::testing::HasSubstr;

model::ModelSpec Spec() {
  return {.name = "m",
          .features = {{.name = "a", .rows = 5, .dimension = 3},
                       {.name = "b", .rows = 2, .dimension = 4}},
          .cross = {{.projection_dimension = 2}, {}},
          .deep = {5}};
}

DensePart Part(const model::ModelSpec& spec, std::size_t states, std::size_t steps) {
  DensePart part;
  const auto fill = [&](std::uint64_t stream) {
    std::vector<float> values(spec.dense_size());
    RandomStream(1, stream).FillUniform(1.0F, 0, values);
    return values;
  };
  part.state.parameters = fill(1);
  if (states > 0) part.state.first_moments = fill(2);
  if (states > 1) part.state.second_moments = fill(3);
  for (std::size_t i = 0; i < steps; ++i) {
    part.step_sizes.push_back(static_cast<float>(i) / 3);
    part.losses.push_back(static_cast<double>(i) / 7);
  }
  return part;
}

TEST(DenseFileTest, GivesBackWhatWasWritten) {
  const std::pair<ps::OptimizerOptions, std::size_t> rules[] = {{ps::AdamOptions{}, 2},
                                                                {ps::LazyAdamOptions{}, 2},
                                                                {ps::AdagradOptions{}, 1},
                                                                {ps::SgdOptions{}, 0}};
  const model::ModelSpec spec = Spec();
  for (const auto& [rule, states] : rules) {
    for (const std::size_t steps : {0U, 1U, 7U}) {
      const testing::TemporaryFolder folder;
      const DensePart part = Part(spec, states, steps);
      const auto record = WriteDenseFile(folder.path() / "dense", spec, rule, part);
      ASSERT_TRUE(record.ok()) << record.status().ToString();
      const auto file = OpenCheckedTensors(folder.path() / "dense", *record);
      ASSERT_TRUE(file.ok()) << file.status().ToString();
      const auto read = ReadDenseFile(*file, spec, rule, steps);
      ASSERT_TRUE(read.ok()) << read.status().ToString();
      EXPECT_EQ(read->state.parameters, part.state.parameters);
      EXPECT_EQ(read->state.first_moments, part.state.first_moments);
      EXPECT_EQ(read->state.second_moments, part.state.second_moments);
      EXPECT_EQ(read->step_sizes, part.step_sizes);
      EXPECT_EQ(read->losses, part.losses);
    }
  }
}

TEST(DenseFileTest, RefusesAnotherModelsOrAnotherStepsState) {
  const testing::TemporaryFolder folder;
  model::ModelSpec spec = Spec();
  const auto record =
      WriteDenseFile(folder.path() / "dense", spec, ps::AdagradOptions{}, Part(spec, 1, 4));
  const auto file = OpenCheckedTensors(folder.path() / "dense", *record);
  ASSERT_TRUE(file.ok());
  EXPECT_THAT(ReadDenseFile(*file, spec, ps::AdagradOptions{}, 5).status().message(),
              HasSubstr("4 losses and 4 rates for 5 steps"));
  EXPECT_THAT(ReadDenseFile(*file, spec, ps::AdamOptions{}, 4).status().message(),
              HasSubstr("/m'"));
  spec.deep = {6};
  EXPECT_THAT(ReadDenseFile(*file, spec, ps::AdagradOptions{}, 4).status().message(),
              HasSubstr("values, expected"));
}

}  // namespace
}  // namespace dcn::checkpoint
