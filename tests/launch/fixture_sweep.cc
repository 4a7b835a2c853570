#include "tests/launch/fixture_sweep.h"

#include <cmath>
#include <numeric>
#include <stdexcept>

#include "launch/sweep/run_plan.h"
#include "tests/testing/temporary_folder.h"
#include "worker/export/model_file.h"

namespace dcn::testing {
namespace {

namespace fs = std::filesystem;

void Require(const Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

/// A value in [0, 1) that differs by (variant, seed, index) and is the same on every machine.
double Noise(const std::string& variant, std::uint64_t seed, std::uint64_t index) {
  std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL + index;
  for (const char c : variant) state = state * 31 + static_cast<unsigned char>(c);
  state ^= state >> 30U;
  state *= 0xbf58476d1ce4e5b9ULL;
  state ^= state >> 27U;
  state *= 0x94d049bb133111ebULL;
  state ^= state >> 31U;
  return static_cast<double>(state >> 11U) / 9007199254740992.0;
}

FixtureTensor MakeTensor(const std::string& name, std::vector<std::size_t> shape,
                         const std::string& variant, std::uint64_t seed, double scale) {
  std::size_t size = 1;
  for (const std::size_t extent : shape) size *= extent;
  FixtureTensor tensor{name, std::move(shape), std::vector<float>(size)};
  for (std::size_t k = 0; k < size; ++k) {
    const double value = Noise(variant + name, seed, k) + Noise(variant + name, seed, k + size) - 1;
    tensor.values[k] = static_cast<float>(scale * value);
  }
  return tensor;
}

/// Makes the blocks of the first two features stand out, as movies and users do.
void Emphasize(FixtureTensor& kernel) {
  const std::vector<std::size_t>& widths = FixtureWidths();
  const std::size_t width = kernel.shape[1];
  for (std::size_t row = 0; row < width; ++row) {
    for (std::size_t column = 0; column < width; ++column) {
      float& value = kernel.values[row * width + column];
      if (row < widths[0]) value *= 2.5F;
      if (column < widths[0]) value *= 1.5F;
      if (column >= widths[0] && column < widths[0] + widths[1]) value *= 2.0F;
    }
  }
}

double BaseRmse(const std::string& variant) {
  if (variant == "full") return 0.9344;
  return variant == "stacked" ? 0.9361 : 0.9422;
}

}  // namespace

const std::vector<std::string>& FixtureFeatures() {
  static const std::vector<std::string> features = {"movie_id",      "user_id",
                                                    "user_zip_code", "user_occupation_text",
                                                    "user_gender",   "<age & \"b\">"};
  return features;
}

const std::vector<std::size_t>& FixtureWidths() {
  static const std::vector<std::size_t> widths = {8, 8, 6, 4, 1, 3};
  return widths;
}

sweep::SweepRecord FixtureRecord(const std::vector<std::uint64_t>& seeds) {
  const nlohmann::json training = {
      {"epochs", 2}, {"batch-size", 8192}, {"learning-rate", 0.01}, {"train-fraction", 0.75}};
  sweep::SweepRecord record;
  record.experiment = "fixture";
  record.title = "Feature importance with a Deep & Cross Network <fixture>";
  record.data = {"data/ml-1m", "ml-1m", "00112233445566778899aabbccddeeff", 1000209};
  record.seeds = seeds;
  for (const char* name : {"full", "stacked", "deep"}) {
    nlohmann::json options = training;
    options["model"] = {{"name", name}, {"deep", {192, 192}}};
    record.variants.push_back({name, options});
  }
  return record;
}

output::RunResult FixtureResult(const std::string& variant, std::uint64_t seed) {
  output::RunResult result;
  result.model = variant;
  result.seed = seed;
  const double spread = variant == "deep" ? 0.012 : 0.004;
  result.test_rmse = BaseRmse(variant) + spread * (Noise(variant, seed, 1) - 0.5);
  result.train_rows_per_second = 310000 + 20000 * Noise(variant, seed, 2);
  result.train_seconds = 1500312 / result.train_rows_per_second;
  result.wall_seconds = result.train_seconds + 0.4;
  result.steps = 184;
  result.epochs = {{1.31, 2.4}, {0.83, 2.4}};
  for (std::uint64_t step = 1; step <= result.steps; ++step) {
    const double x = static_cast<double>(step);
    const double noise = 1 + 0.08 * (Noise(variant, seed, 100 + step) - 0.5);
    result.loss_curve.push_back(
        {step, (0.80 + 12.5 * std::exp(-x / (5 + spread * 200)) + 1.2 / (x + 4)) * noise});
  }
  result.parameter_count = variant == "stacked" ? 505249 : 534433;
  result.parameter_digest = "0123456789abcdef0123456789abcde" + std::to_string(seed % 10);
  result.threads = 1;
  result.precision = "fp32";
  result.engine = "onednn";
  result.slice_rows = 512;
  result.peak_rss_bytes = 234567890;
  result.data = {"ml-1m", 1000209, 750156, 250052, std::nullopt};
  result.configuration = {{"seed", seed},
                          {"epochs", 2},
                          {"batch_size", 8192},
                          {"learning_rate", 0.01},
                          {"model", {{"name", variant}, {"deep", {192, 192}}}}};
  result.machine = {"Example CPU @ 2.90 GHz", 2, 24ULL << 30U};
  result.versions = {{"dcn", "0.1.0"}, {"compiler", "g++ 12.2.0"}, {"engine", "oneDNN 2.6.3"}};
  return result;
}

std::vector<FixtureTensor> FixtureModel(const std::string& variant, std::uint64_t seed) {
  const std::vector<std::size_t>& widths = FixtureWidths();
  const std::size_t width = std::accumulate(widths.begin(), widths.end(), std::size_t{0});
  std::vector<FixtureTensor> model;
  for (std::size_t k = 0; k < widths.size(); ++k) {
    model.push_back(
        MakeTensor("embedding/" + FixtureFeatures()[k], {3, widths[k]}, variant, seed, 0.05));
  }
  if (variant == "full") {
    model.push_back(MakeTensor("cross/0/kernel", {width, width}, variant, seed, 0.5));
    Emphasize(model.back());
    model.push_back(MakeTensor("cross/0/bias", {width}, variant, seed, 0.1));
  } else if (variant == "stacked") {
    model.push_back(MakeTensor("cross/0/kernel_u", {width, 3}, variant, seed, 0.6));
    model.push_back(MakeTensor("cross/0/kernel_v", {3, width}, variant, seed, 0.6));
    model.push_back(MakeTensor("cross/0/bias", {width}, variant, seed, 0.1));
    model.push_back(MakeTensor("cross/1/kernel", {width, width}, variant, seed, 0.2));
    model.push_back(MakeTensor("cross/1/bias", {width}, variant, seed, 0.1));
  }
  model.push_back(MakeTensor("logit/kernel", {width, 1}, variant, seed, 0.1));
  model.push_back(MakeTensor("logit/bias", {1}, variant, seed, 0.1));
  return model;
}

void WriteFixtureModel(const std::vector<FixtureTensor>& model, const fs::path& folder) {
  std::vector<TensorView> views;
  for (const FixtureTensor& tensor : model) {
    views.push_back({tensor.name, tensor.shape, tensor.values});
  }
  Require(WriteSafetensors(folder / output::kModelFile, views, {}));
}

void WriteFixtureRun(const fs::path& output, const std::string& variant, std::uint64_t seed) {
  const fs::path folder = sweep::RunFolder(output, variant, seed);
  fs::create_directories(folder);
  WriteFixtureModel(FixtureModel(variant, seed), folder);
  Require(output::WriteResult(folder, FixtureResult(variant, seed)));
}

void WriteFixtureSweep(const fs::path& output, const std::vector<std::uint64_t>& seeds) {
  fs::create_directories(output);
  const sweep::SweepRecord record = FixtureRecord(seeds);
  Require(sweep::WriteSweepRecord(record, output));
  WriteText(output / "journal.jsonl",
            R"({"event":"finished","variant":"deep","seed":1,"time":"2025-03-01T12:34:56Z"})"
            "\n");
  for (const sweep::Variant& variant : record.variants) {
    for (const std::uint64_t seed : seeds) WriteFixtureRun(output, variant.name, seed);
  }
}

}  // namespace dcn::testing
