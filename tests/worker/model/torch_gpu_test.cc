// The LibTorch engine on a GPU against the same engine on the processor, over the grid of models.
// Skipped, loudly, where LibTorch has no GPU.

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"
#include "common/thread_pool.h"
#include "tests/testing/engines.h"
#include "tests/testing/model_grid.h"
#include "tests/testing/reference_model.h"

namespace dcn::model {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::size_t kRows = 65;
constexpr double kTolerance = 1e-5;  // of each tensor's norm
// How far from the kink of every ReLU a row stays: nearer, two roundings may take different sides.
constexpr double kMargin = 1e-4;

struct Problem {
  std::vector<float> parameters;
  std::vector<float> x0;
  std::vector<float> labels;
};

struct Answer {
  std::vector<float> predictions;
  std::vector<float> dense_gradient;
  std::vector<float> x0_gradient;
  double squared_error = 0;
  friend bool operator==(const Answer&, const Answer&) = default;
};

Problem MakeProblem(const ModelSpec& spec) {
  Problem problem;
  problem.parameters.resize(spec.dense_size());
  InitializeDense(spec, 5, problem.parameters);
  const std::vector<double> parameters(problem.parameters.begin(), problem.parameters.end());
  const std::size_t width = spec.input_width();
  std::vector<float> row((width + 3) / 4 * 4);
  for (std::uint64_t candidate = 0; problem.labels.size() < kRows; ++candidate) {
    RandomStream(7, candidate).FillUniform(0.9F, 0, row);
    const std::span<const float> values = std::span(row).first(width);
    const std::vector<double> wide(values.begin(), values.end());
    if (testing::ReferenceReluMargin(spec, parameters, wide) < kMargin) continue;
    problem.x0.insert(problem.x0.end(), values.begin(), values.end());
    problem.labels.push_back(static_cast<float>(1 + candidate % 5));
  }
  return problem;
}

Answer Compute(DenseModel& engine, const Problem& problem, ThreadPool& pool) {
  engine.SetParameters(problem.parameters, pool);
  Answer answer{std::vector<float>(kRows), std::vector<float>(problem.parameters.size()),
                std::vector<float>(problem.x0.size()), 0};
  SliceGradient gradient{answer.predictions, answer.dense_gradient, answer.x0_gradient, 0};
  engine.ForwardBackward(0, {problem.x0, problem.labels, 2.0F / 1000}, gradient);
  answer.squared_error = gradient.squared_error;
  return answer;
}

void ExpectNear(std::span<const float> got, std::span<const float> expected, const char* what) {
  double off = 0;
  double norm = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    off += std::pow(double{got[i]} - double{expected[i]}, 2);
    norm += std::pow(double{expected[i]}, 2);
  }
  EXPECT_LE(std::sqrt(off), kTolerance * std::sqrt(norm)) << what;
}

TEST(TorchOnGpu, AgreesWithTheProcessor) {
  DCN_SKIP_WITHOUT_TORCH_GPUS(1);
  ThreadPool pool(1);
  for (const testing::NamedSpec& model : testing::ModelGrid()) {
    SCOPED_TRACE(model.name);
    const Problem problem = MakeProblem(model.spec);
    const auto cpu = testing::MakeEngine("torch", model.spec, 1, kRows);
    const auto gpu = testing::MakeEngine("torch", model.spec, 1, kRows, 0);
    const Answer expected = Compute(*cpu, problem, pool);
    const Answer got = Compute(*gpu, problem, pool);
    ExpectNear(got.predictions, expected.predictions, "predictions");
    ExpectNear(got.dense_gradient, expected.dense_gradient, "dense gradient");
    ExpectNear(got.x0_gradient, expected.x0_gradient, "gradient of x0");
    EXPECT_EQ(Compute(*gpu, problem, pool), got) << "the same slice has the same bits";
  }
}

// Ranks, and lives of a run, on GPUs of two kinds are told apart by it.
TEST(TorchOnGpu, SaysWhichOneItIs) {
  DCN_SKIP_WITHOUT_TORCH_GPUS(1);
  const auto gpu = testing::MakeEngine("torch", testing::ModelGrid()[0].spec, 1, kRows, 0);
  const std::string description = gpu->engine_description();
  EXPECT_THAT(description, ContainsRegex(R"(^libtorch .* \(CUDA [0-9]+\.[0-9], .+\)$)"));
  EXPECT_THAT(description, Not(HasSubstr("unknown GPU")));
}

}  // namespace
}  // namespace dcn::model
