#include "launch/main/run_configuration.h"

#include "common/check.h"

namespace dcn::launch {
namespace {

nlohmann::json ModelJson(const model::ModelSpec& spec) {
  nlohmann::json features = nlohmann::json::array();
  for (const model::FeatureSpec& feature : spec.features) {
    features.push_back(
        {{"name", feature.name}, {"rows", feature.rows}, {"dimension", feature.dimension}});
  }
  nlohmann::json cross = nlohmann::json::array();
  for (const model::CrossLayerSpec& layer : spec.cross) {
    cross.push_back({{"projection_dimension", layer.projection_dimension},
                     {"diag_scale", layer.diag_scale},
                     {"preactivation", model::ActivationName(layer.preactivation)}});
  }
  return {{"name", spec.name}, {"features", features}, {"cross", cross}, {"deep", spec.deep}};
}

}  // namespace

std::string_view EngineName(const WorkerOptions& options) {
  return options.engine == "torch" ? "torch" : "onednn";
}

ps::OptimizerOptions OptimizerFromName(std::string_view name) {
  if (name == "adam") return ps::AdamOptions{};
  if (name == "lazy-adam") return ps::LazyAdamOptions{};
  if (name == "adagrad") return ps::AdagradOptions{};
  DCN_CHECK(name == "sgd");
  return ps::SgdOptions{};
}

nlohmann::json RunConfiguration(const WorkerOptions& options, const data::Dataset& dataset,
                                const model::ModelSpec& spec) {
  nlohmann::json configuration = {
      {"data", {{"name", dataset.name()}, {"fingerprint", dataset.fingerprint()}}},
      {"train_fraction", options.train_fraction},
      {"model", ModelJson(spec)},
      {"seed", options.seed},
      {"epochs", options.epochs},
      {"max_steps", options.max_steps},
      {"batch_size", options.batch_size},
      {"slice_rows", options.slice_rows},
      {"learning_rate", options.learning_rate},
      {"optimizer", options.optimizer},
      {"precision", options.precision},
      {"engine", EngineName(options)}};
  // Only where they are not as ever, so that results from before there was a choice still compare.
  if (options.device != "cpu") configuration["device"] = options.device;
  if (options.reduce != "ordered") configuration["reduce"] = options.reduce;
  return configuration;
}

}  // namespace dcn::launch
