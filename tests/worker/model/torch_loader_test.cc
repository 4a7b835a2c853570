#include "worker/model/torch_loader.h"

#include <cstddef>
#include <filesystem>
#include <time.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/thread_pool.h"
#include "tests/testing/engines.h"

namespace dcn::model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

ModelSpec SmallSpec() {
  ModelSpec spec;
  spec.features = {{"a", 4, 2}};
  spec.cross = {{}};
  return spec;
}

double CpuSeconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

TEST(TorchLoader, NamesAMissingPluginAndWhatToInstall) {
  const auto made = LoadTorchModel("/nowhere/libdcn_torch_model.so", SmallSpec(), 1, 8);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(made.status().message(),
              AllOf(HasSubstr("built without LibTorch"),
                    HasSubstr("/nowhere/libdcn_torch_model.so"), HasSubstr("libtorch-dev")));
}

TEST(TorchLoader, RejectsAFileThatIsNoLibrary) {
  const std::filesystem::path file = std::filesystem::canonical("/proc/self/exe");
  const auto made = LoadTorchModel(file, SmallSpec(), 1, 8);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().code(), StatusCode::kInternal);
  EXPECT_THAT(made.status().message(), AllOf(HasSubstr("cannot load"), HasSubstr(file.string())));
}

TEST(TorchLoader, RejectsALibraryThatIsNotThePlugin) {
  const auto made = LoadTorchModel(DCN_FOREIGN_LIBRARY, SmallSpec(), 1, 8);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().code(), StatusCode::kInternal);
  EXPECT_THAT(made.status().message(), HasSubstr("is not the plugin of this program"));
}

TEST(TorchLoader, RejectsAPluginOfOtherSources) {
  const auto made = LoadTorchModel(DCN_STALE_PLUGIN, SmallSpec(), 1, 8);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().code(), StatusCode::kInternal);
  EXPECT_THAT(made.status().message(),
              AllOf(HasSubstr("built from other sources"), HasSubstr("interface of-last-week")));
}

TEST(TorchLoader, RejectsAnInvalidModel) {
  ModelSpec spec = SmallSpec();
  spec.cross[0].diag_scale = -1;
  const auto made = LoadTorchModel("/nowhere/libdcn_torch_model.so", spec, 1, 8);
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.status().message(), HasSubstr("diag_scale"));
}

TEST(TorchLoader, LoadsThePluginAsOftenAsAskedFor) {
  DCN_SKIP_WITHOUT_ENGINE("torch");
  ThreadPool pool(1);
  const std::vector<float> parameters = {1, 0, 0, 1, 0.5F, 0.5F, 2, 3, 0.25F};
  for (int round = 0; round < 2; ++round) {
    const auto made = LoadTorchModel(testing::TorchPluginPath(), SmallSpec(), 1, 8);
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    DenseModel& engine = **made;
    EXPECT_THAT(engine.engine_description(), HasSubstr("libtorch "));
    engine.SetParameters(parameters, pool);
    // x0 * (x0 W + b) + x0 with W = I and b = .5 is (2.5, -.5).
    const std::vector<float> x0 = {1, -1};
    std::vector<float> prediction(1);
    engine.Forward(0, x0, prediction);
    EXPECT_EQ(prediction[0], 2 * 2.5F + 3 * -0.5F + 0.25F);
  }
}

// LibTorch, its OpenMP and its BLAS each have threads of their own unless they are told not to. The
// BLAS makes them when it is loaded, so what shows whether they take part is the time they use.
TEST(TorchLoader, ModelComputesInTheCallingThreadAlone) {
  DCN_SKIP_WITHOUT_ENGINE("torch");
  constexpr std::size_t kRows = 2048;
  ModelSpec spec;
  spec.features = {{"a", 4, 256}};
  spec.cross = {{}};
  spec.deep = {256};
  ThreadPool pool(1);
  const auto made = LoadTorchModel(testing::TorchPluginPath(), spec, 1, kRows);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  std::vector<float> parameters(spec.dense_size());
  InitializeDense(spec, 1, parameters);
  (*made)->SetParameters(parameters, pool);
  const std::vector<float> x0(kRows * 256, 0.1F);
  const std::vector<float> labels(kRows, 1.0F);
  std::vector<float> predictions(kRows);
  std::vector<float> dense_gradient(spec.dense_size());
  std::vector<float> x0_gradient(x0.size());
  SliceGradient gradient{predictions, dense_gradient, x0_gradient, 0};

  const double process_before = CpuSeconds(CLOCK_PROCESS_CPUTIME_ID);
  const double thread_before = CpuSeconds(CLOCK_THREAD_CPUTIME_ID);
  for (int round = 0; round < 5; ++round) {
    (*made)->ForwardBackward(0, {x0, labels, 0.1F}, gradient);
  }
  const double thread_seconds = CpuSeconds(CLOCK_THREAD_CPUTIME_ID) - thread_before;
  const double process_seconds = CpuSeconds(CLOCK_PROCESS_CPUTIME_ID) - process_before;
  EXPECT_LE(process_seconds - thread_seconds, 0.05 * thread_seconds);
}

}  // namespace
}  // namespace dcn::model
