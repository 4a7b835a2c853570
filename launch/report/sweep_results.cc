#include "launch/report/sweep_results.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "common/file/mapped_file.h"
#include "common/file/safetensors.h"
#include "launch/sweep/journal.h"
#include "launch/sweep/run_plan.h"
#include "worker/export/model_file.h"

namespace dcn::report {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEmbeddingPrefix = "embedding/";

/// What the maps of one run's model are made of.
struct ModelMaps {
  std::vector<std::string> features;
  std::vector<std::size_t> projection_dimensions;  // by layer
  std::vector<SquareMap> layers;
};

Status Unexpected(const fs::path& file, const TensorView& tensor, const std::string& expected) {
  return Error(StatusCode::kDataLoss, "{}: {}: shape is [{}], expected {}", file.string(),
               tensor.name, fmt::join(tensor.shape, ", "), expected);
}

/// The kernel of layer `layer`, or nothing left in `kernel` where there is no such layer.
Status ReadKernel(const SafetensorsFile& model, const fs::path& file, std::size_t layer,
                  std::size_t width, std::vector<float>& kernel, std::size_t& rank) {
  const std::string prefix = "cross/" + std::to_string(layer) + "/kernel";
  const Result<TensorView> full = model.Get(prefix);
  if (full.ok()) {
    if (full->shape != std::vector<std::size_t>{width, width}) {
      return Unexpected(file, *full, fmt::format("[{0}, {0}], the width of x0", width));
    }
    kernel.assign(full->values.begin(), full->values.end());
    return Status();
  }
  const Result<TensorView> u = model.Get(prefix + "_u");
  if (!u.ok()) return Status();
  DCN_ASSIGN_OR_RETURN(const TensorView v, model.Get(prefix + "_v"));
  if (u->shape.size() != 2 || u->shape[0] != width) {
    return Unexpected(file, *u, fmt::format("[{}, projection dimension]", width));
  }
  rank = u->shape[1];
  if (v.shape != std::vector<std::size_t>{rank, width}) {
    return Unexpected(file, v, fmt::format("[{}, {}]", rank, width));
  }
  kernel = LowRankKernel(u->values, v.values, width, rank);
  return Status();
}

Result<ModelMaps> ReadModelMaps(const fs::path& file) {
  DCN_ASSIGN_OR_RETURN(const SafetensorsFile model, SafetensorsFile::Open(file));
  ModelMaps maps;
  std::vector<std::size_t> widths;
  std::size_t width = 0;
  for (const TensorView& tensor : model.tensors()) {
    if (!tensor.name.starts_with(kEmbeddingPrefix)) continue;
    if (tensor.shape.size() != 2) return Unexpected(file, tensor, "[rows, dimension]");
    maps.features.push_back(tensor.name.substr(kEmbeddingPrefix.size()));
    widths.push_back(tensor.shape[1]);
    width += tensor.shape[1];
  }
  if (widths.empty()) {
    return Error(StatusCode::kDataLoss, "{}: no tensor embedding/<feature>, expected a model",
                 file.string());
  }
  while (true) {
    std::vector<float> kernel;
    std::size_t rank = 0;
    DCN_RETURN_IF_ERROR(ReadKernel(model, file, maps.layers.size(), width, kernel, rank));
    if (kernel.empty()) return maps;
    maps.layers.push_back(BlockNorms(kernel, widths));
    maps.projection_dimensions.push_back(rank);
  }
}

Status CheckSameModel(const ModelMaps& first, const ModelMaps& other, const fs::path& file) {
  if (first.features == other.features &&
      first.projection_dimensions == other.projection_dimensions) {
    return Status();
  }
  return Error(StatusCode::kDataLoss,
               "{}: features or cross layers differ from those of the variant's other runs",
               file.string());
}

// The error of one run, with what to do about it.
Status WithRemedy(const Status& status, const fs::path& run) {
  return Error(status.code(), "{}; remove the folder {} and run dcn_sweep again", status.message(),
               run.string());
}

Result<VariantResults> ReadVariant(const sweep::Variant& variant,
                                   const std::vector<std::uint64_t>& seeds,
                                   const fs::path& folder) {
  VariantResults results;
  results.name = variant.name;
  results.options = variant.options;
  std::vector<ModelMaps> models;
  for (const std::uint64_t seed : seeds) {
    const fs::path run = sweep::RunFolder(folder, variant.name, seed);
    if (!fs::exists(run / output::kResultFile)) continue;
    Result<output::RunResult> result = output::ReadResult(run / output::kResultFile);
    if (!result.ok()) return WithRemedy(result.status(), run);
    const fs::path model_file = run / output::kModelFile;
    Result<ModelMaps> maps = ReadModelMaps(model_file);
    if (!maps.ok()) return WithRemedy(maps.status(), run);
    if (!models.empty()) {
      const Status same = CheckSameModel(models.front(), *maps, model_file);
      if (!same.ok()) return WithRemedy(same, run);
    }
    results.runs.push_back(*std::move(result));
    models.push_back(*std::move(maps));
  }
  if (models.empty()) return results;
  results.features = models.front().features;
  for (std::size_t layer = 0; layer < models.front().layers.size(); ++layer) {
    std::vector<SquareMap> maps;
    for (const ModelMaps& model : models) maps.push_back(model.layers[layer]);
    results.cross_layers.push_back(
        {layer, models.front().projection_dimensions[layer], Summarize(maps)});
  }
  return results;
}

/// The time of the last run's end that the journal knows.
std::string LastFinished(const fs::path& folder) {
  const fs::path file = folder / "journal.jsonl";
  const Result<MappedFile> mapped = MappedFile::Open(file);
  if (!mapped.ok()) return "";
  const Result<sweep::JournalText> journal = sweep::ParseJournal(mapped->text(), file);
  if (!journal.ok()) return "";
  std::string last;
  for (const nlohmann::json& entry : journal->entries) {
    if (entry.value("event", nlohmann::json()) != "finished") continue;
    const nlohmann::json time = entry.value("time", nlohmann::json());
    if (time.is_string()) last = time.get<std::string>();
  }
  return last;
}

}  // namespace

std::size_t SweepResults::finished_runs() const {
  std::size_t count = 0;
  for (const VariantResults& variant : variants) count += variant.runs.size();
  return count;
}

Result<SweepResults> ReadSweepResults(const fs::path& folder) {
  SweepResults results;
  Result<sweep::SweepRecord> record = sweep::ReadSweepRecord(folder);
  if (record.status().code() == StatusCode::kNotFound) {
    return Error(StatusCode::kNotFound, "{} is not the output folder of a dcn_sweep: {}",
                 folder.string(), record.status().message());
  }
  DCN_ASSIGN_OR_RETURN(results.record, std::move(record));
  std::vector<std::uint64_t> seeds = results.record.seeds;
  std::sort(seeds.begin(), seeds.end());
  for (const sweep::Variant& variant : results.record.variants) {
    DCN_ASSIGN_OR_RETURN(VariantResults variant_results, ReadVariant(variant, seeds, folder));
    results.variants.push_back(std::move(variant_results));
  }
  results.planned_runs = seeds.size() * results.record.variants.size();
  results.finished = LastFinished(folder);
  return results;
}

}  // namespace dcn::report
