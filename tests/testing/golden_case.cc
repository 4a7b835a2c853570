#include "tests/testing/golden_case.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

#include <fmt/core.h>

#include "common/file/json.h"

namespace dcn::testing {
namespace {

using Json = nlohmann::json;

// Numbers of a list, or of a list of lists, row by row.
template <typename Number>
std::vector<Number> Flatten(const Json& list) {
  std::vector<Number> numbers;
  for (const Json& entry : list) {
    if (entry.is_array()) {
      const std::vector<Number> row = Flatten<Number>(entry);
      numbers.insert(numbers.end(), row.begin(), row.end());
    } else {
      numbers.push_back(entry.get<Number>());
    }
  }
  return numbers;
}

[[noreturn]] void Fail(std::string message) { throw std::runtime_error(std::move(message)); }

model::CrossLayerSpec ReadCrossLayer(const Json& json) {
  model::CrossLayerSpec layer;
  const auto present = [&](const char* key) { return json.contains(key) && !json[key].is_null(); };
  if (present("projection_dim")) layer.projection_dimension = json["projection_dim"];
  if (present("diag_scale")) layer.diag_scale = json["diag_scale"];
  if (present("preactivation") && json["preactivation"] != "linear") {
    const auto activation =
        model::ParseActivation(json["preactivation"].get_ref<const std::string&>());
    if (!activation.ok()) Fail(activation.status().message());
    layer.preactivation = *activation;
  }
  return layer;
}

model::ModelSpec ReadSpec(const Json& json) {
  model::ModelSpec spec;
  spec.name = json.at("case");
  for (const Json& feature : json.at("features")) {
    const std::string name = feature.at("name");
    const Json& table = json.at("initial").at("embedding/" + name);
    if (table.size() != feature.at("rows").get<std::size_t>()) {
      Fail(fmt::format("embedding/{} has {} rows, its feature {}", name, table.size(),
                       feature.at("rows").dump()));
    }
    spec.features.push_back({name, table.size(), static_cast<std::uint32_t>(table.at(0).size())});
  }
  for (const Json& layer : json.at("cross")) spec.cross.push_back(ReadCrossLayer(layer));
  for (const Json& width : json.at("deep")) spec.deep.push_back(width);
  if (const Status valid = spec.Validate(); !valid.ok()) Fail(valid.message());
  return spec;
}

std::vector<float> ReadTensor(const Json& weights, const std::string& name, std::size_t size) {
  std::vector<float> values = Flatten<float>(weights.at(name));
  if (values.size() != size) {
    Fail(fmt::format("{} has {} values, expected {}", name, values.size(), size));
  }
  return values;
}

GoldenWeights ReadWeights(const Json& json, const model::ModelSpec& spec) {
  GoldenWeights weights;
  for (const model::FeatureSpec& feature : spec.features) {
    weights.tables.push_back(
        ReadTensor(json, "embedding/" + feature.name, feature.rows * feature.dimension));
  }
  for (const model::DenseParameter& parameter : spec.DenseParameters()) {
    const std::vector<float> values = ReadTensor(json, parameter.name, parameter.size);
    weights.dense.insert(weights.dense.end(), values.begin(), values.end());
  }
  const std::size_t expected = spec.features.size() + spec.DenseParameters().size();
  if (json.size() != expected) {
    Fail(fmt::format("{} tensors, but the model has {}", json.size(), expected));
  }
  return weights;
}

GoldenStep ReadStep(const Json& json, const model::ModelSpec& spec) {
  GoldenStep step;
  step.labels = Flatten<float>(json.at("labels"));
  step.predictions = Flatten<double>(json.at("predictions"));
  step.loss = json.at("loss");
  step.keys.resize(spec.features.size());
  for (const Json& row : json.at("ids")) {
    if (row.size() != spec.features.size()) Fail("a row of ids does not fit the features");
    for (std::size_t f = 0; f < step.keys.size(); ++f) {
      step.keys[f].push_back(row[f].get<ps::Key>());
      if (step.keys[f].back() >= spec.features[f].rows) Fail("an id is not below its table's rows");
    }
  }
  if (step.keys[0].size() != step.labels.size() || step.labels.size() != step.predictions.size()) {
    Fail("a step's ids, labels and predictions differ in number");
  }
  return step;
}

GoldenCase ReadCase(const Json& json) {
  GoldenCase golden;
  golden.name = json.at("case");
  golden.spec = ReadSpec(json);
  const Json& optimizer = json.at("optimizer");
  golden.learning_rate = optimizer.at("learning_rate");
  golden.adam = {.beta_1 = optimizer.at("beta_1"),
                 .beta_2 = optimizer.at("beta_2"),
                 .epsilon = optimizer.at("epsilon")};
  golden.initial = ReadWeights(json.at("initial"), golden.spec);
  golden.final = ReadWeights(json.at("final"), golden.spec);
  for (const Json& step : json.at("steps")) golden.steps.push_back(ReadStep(step, golden.spec));
  if (golden.steps.empty()) Fail("no steps");
  return golden;
}

void AppendFilesOf(const std::filesystem::path& folder, std::vector<std::filesystem::path>& files) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".json") found.push_back(entry.path());
  }
  if (found.empty()) Fail(fmt::format("no golden case (*.json) in {}", folder.string()));
  std::sort(found.begin(), found.end());
  files.insert(files.end(), found.begin(), found.end());
}

}  // namespace

Result<GoldenCase> ReadGoldenCase(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    return Error(StatusCode::kNotFound, "golden case: cannot read {}", file.string());
  }
  std::ostringstream text;
  text << stream.rdbuf();
  DCN_ASSIGN_OR_RETURN(const Json json, ParseJson(text.str(), file.string()));
  try {
    return ReadCase(json);
  } catch (const std::exception& error) {
    return Error(StatusCode::kDataLoss, "golden case: {}: {}", file.string(), error.what());
  }
}

std::vector<std::filesystem::path> GoldenFiles() {
  std::vector<std::filesystem::path> files;
  AppendFilesOf(DCN_GOLDEN_FOLDER, files);
  if (const char* folder = std::getenv("DCN_GOLDEN_DIR"); folder != nullptr && *folder != '\0') {
    AppendFilesOf(folder, files);
  }
  return files;
}

std::string GoldenTestName(const std::filesystem::path& file, std::size_t index) {
  std::string name = fmt::format("{}_{}", index, file.stem().string());
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

}  // namespace dcn::testing
