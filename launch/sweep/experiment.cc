#include "launch/sweep/experiment.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "common/file/mapped_file.h"
#include "launch/sweep/toml_json.h"

namespace dcn::sweep {
namespace {

using nlohmann::json;

// Options that the sweep sets for every run itself.
constexpr std::string_view kReservedOptions[] = {"config",  "data",   "data-cache", "help",
                                                 "model",   "output", "seed",       "step-file",
                                                 "threads", "version"};

bool IsFolderName(std::string_view name) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !name.empty() && name.front() != '.' && name.size() <= 100 &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}

// Names that a sweep's folder uses for something else.
bool IsTakenName(std::string_view name) {
  return name == "cache" || name == "journal.jsonl" || name == "report.html" ||
         name == "summary.csv" || name == "summary.json" || name == "sweep.json";
}

/// Walks one experiment file; every error names file, line and key.
class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file) {}

  Result<Experiment> Read(const toml::table& root) const {
    DCN_RETURN_IF_ERROR(
        CheckKeys(root, "", {"name", "title", "data", "seeds", "training", "variant"}));
    Experiment experiment;
    DCN_ASSIGN_OR_RETURN(experiment.name, String(root, "", "name"));
    experiment.title = experiment.name;
    if (root.contains("title")) {
      DCN_ASSIGN_OR_RETURN(experiment.title, String(root, "", "title"));
    }
    DCN_ASSIGN_OR_RETURN(experiment.data, String(root, "", "data"));
    DCN_ASSIGN_OR_RETURN(experiment.seeds, Seeds(root));
    DCN_ASSIGN_OR_RETURN(const json training, Training(root, "training"));
    DCN_ASSIGN_OR_RETURN(experiment.variants, Variants(root, training));
    return experiment;
  }

 private:
  template <typename... Args>
  Status Wrong(const toml::node& where, fmt::format_string<Args...> format, Args&&... args) const {
    return Error(StatusCode::kInvalidArgument, "{}:{}: {}", file_, where.source().begin.line,
                 fmt::format(format, std::forward<Args>(args)...));
  }

  Status CheckKeys(const toml::table& table, const std::string& prefix,
                   std::initializer_list<std::string_view> known) const {
    for (const auto& [key, node] : table) {
      if (std::find(known.begin(), known.end(), key.str()) == known.end()) {
        return Wrong(node, "{}{}: unknown key, expected one of {}", prefix, key.str(),
                     fmt::join(known, ", "));
      }
    }
    return Status();
  }

  Result<std::string> String(const toml::table& table, const std::string& prefix,
                             std::string_view key) const {
    const toml::node* node = table.get(key);
    if (node == nullptr) return Wrong(table, "{}{}: missing, expected a string", prefix, key);
    const auto* value = node->as_string();
    if (value == nullptr || value->get().empty()) {
      return Wrong(*node, "{}{}: expected a string that is not empty", prefix, key);
    }
    return value->get();
  }

  Result<std::vector<std::uint64_t>> Seeds(const toml::table& root) const {
    constexpr const char* kExpected = "expected a list of whole numbers >= 0, as in [1, 2, 3]";
    const toml::node* node = root.get("seeds");
    if (node == nullptr) return Wrong(root, "seeds: missing, {}", kExpected);
    const toml::array* list = node->as_array();
    if (list == nullptr || list->empty()) return Wrong(*node, "seeds: {}", kExpected);
    std::vector<std::uint64_t> seeds;
    for (const toml::node& element : *list) {
      const auto* value = element.as_integer();
      if (value == nullptr || value->get() < 0) return Wrong(element, "seeds: {}", kExpected);
      const auto seed = static_cast<std::uint64_t>(value->get());
      if (std::find(seeds.begin(), seeds.end(), seed) != seeds.end()) {
        return Wrong(element, "seeds: {} is named twice, expected distinct seeds", seed);
      }
      seeds.push_back(seed);
    }
    return seeds;
  }

  /// A table of dcn_worker options, empty where the key is absent.
  Result<json> Training(const toml::table& parent, const std::string& key) const {
    json options = json::object();
    const toml::node* node = parent.get("training");
    if (node == nullptr) return options;
    const toml::table* table = node->as_table();
    if (table == nullptr) {
      return Wrong(*node, "{}: expected a table of dcn_worker options, as in [{}]", key, key);
    }
    for (const auto& [name, value] : *table) {
      const std::string option(name.str());
      if (std::find(std::begin(kReservedOptions), std::end(kReservedOptions), option) !=
          std::end(kReservedOptions)) {
        return Wrong(value, "{}.{}: set by the sweep itself for every run; expected another option",
                     key, option);
      }
      Result<json> setting = JsonFromToml(value);
      if (!value.is_value() || !setting.ok()) {
        return Wrong(value, "{}.{}: expected a string, a finite number, true or false", key,
                     option);
      }
      options[option] = *std::move(setting);
    }
    return options;
  }

  Result<json> Model(const toml::table& table) const {
    constexpr const char* kExpected = "expected a model's name or a [variant.model] table";
    const toml::node* node = table.get("model");
    if (node == nullptr) return Wrong(table, "variant.model: missing, {}", kExpected);
    if (const toml::table* model = node->as_table()) return ModelTable(*model);
    DCN_ASSIGN_OR_RETURN(const std::string name, String(table, "variant.", "model"));
    return json(name);
  }

  Result<json> ModelTable(const toml::table& table) const {
    DCN_RETURN_IF_ERROR(
        CheckKeys(table, "variant.model.", {"name", "embedding-dimension", "deep", "cross"}));
    if (const toml::node* cross = table.get("cross")) {
      const toml::array* layers = cross->as_array();
      if (layers == nullptr ||
          !(layers->empty() || layers->is_homogeneous(toml::node_type::table))) {
        return Wrong(*cross, "variant.model.cross: expected [[variant.model.cross]] tables");
      }
      for (const toml::node& layer : *layers) {
        DCN_RETURN_IF_ERROR(CheckKeys(*layer.as_table(), "variant.model.cross.",
                                      {"projection-dimension", "diag-scale", "preactivation"}));
      }
    }
    Result<json> model = JsonFromToml(table);
    if (!model.ok()) return Wrong(table, "variant.model: {}", model.status().message());
    return model;
  }

  Result<std::vector<Variant>> Variants(const toml::table& root, const json& training) const {
    const toml::node* node = root.get("variant");
    if (node == nullptr) return Wrong(root, "variant: missing, expected [[variant]] tables");
    const toml::array* list = node->as_array();
    if (list == nullptr || list->empty() || !list->is_homogeneous(toml::node_type::table)) {
      return Wrong(*node, "variant: expected [[variant]] tables");
    }
    std::vector<Variant> variants;
    for (const toml::node& element : *list) {
      DCN_ASSIGN_OR_RETURN(Variant variant, OneVariant(*element.as_table(), training));
      for (const Variant& other : variants) {
        if (other.name == variant.name) {
          return Wrong(element, "variant.name: \"{}\" is named twice", variant.name);
        }
      }
      variants.push_back(std::move(variant));
    }
    return variants;
  }

  Result<Variant> OneVariant(const toml::table& table, const json& training) const {
    DCN_RETURN_IF_ERROR(CheckKeys(table, "variant.", {"name", "model", "training"}));
    Variant variant;
    DCN_ASSIGN_OR_RETURN(variant.name, String(table, "variant.", "name"));
    if (!IsFolderName(variant.name) || IsTakenName(variant.name)) {
      return Wrong(*table.get("name"),
                   "variant.name: \"{}\" cannot name the folder of its runs; expected letters, "
                   "digits, '.', '_' and '-', at most 100",
                   variant.name);
    }
    variant.options = training;
    DCN_ASSIGN_OR_RETURN(const json own, Training(table, "variant.training"));
    variant.options.update(own);
    DCN_ASSIGN_OR_RETURN(json model, Model(table));
    if (model.is_object() && !model.contains("name")) model["name"] = variant.name;
    variant.options["model"] = std::move(model);
    return variant;
  }

  const std::string& file_;
};

template <typename T>
Status CheckDistinct(std::string_view option, const std::vector<T>& values) {
  std::set<T> seen;
  for (const T& value : values) {
    if (!seen.insert(value).second) {
      return Error(StatusCode::kInvalidArgument, "{}: {} is named twice", option, value);
    }
  }
  return Status();
}

}  // namespace

Result<Experiment> ParseExperiment(std::string_view text, const std::string& file) {
  try {
    return Reader(file).Read(toml::parse(text, file));
  } catch (const toml::parse_error& error) {
    return Error(StatusCode::kInvalidArgument, "{}:{}: not TOML: {}", file,
                 error.source().begin.line, error.description());
  }
}

Result<Experiment> LoadExperiment(const std::filesystem::path& file) {
  const Result<MappedFile> mapped = MappedFile::Open(file);
  if (!mapped.ok()) {
    return Error(StatusCode::kInvalidArgument, "experiment file: {}", mapped.status().message());
  }
  return ParseExperiment(mapped->text(), file.string());
}

Status ApplyOverrides(const Overrides& overrides, Experiment& experiment) {
  DCN_RETURN_IF_ERROR(CheckDistinct("--seeds", overrides.seeds));
  DCN_RETURN_IF_ERROR(CheckDistinct("--variants", overrides.variants));
  if (!overrides.data.empty()) experiment.data = overrides.data;
  if (!overrides.seeds.empty()) experiment.seeds = overrides.seeds;
  if (!overrides.variants.empty()) {
    std::vector<Variant> chosen;
    for (const std::string& name : overrides.variants) {
      const auto found = std::find_if(experiment.variants.begin(), experiment.variants.end(),
                                      [&](const Variant& variant) { return variant.name == name; });
      if (found == experiment.variants.end()) {
        std::vector<std::string> names;
        for (const Variant& variant : experiment.variants) names.push_back(variant.name);
        return Error(StatusCode::kInvalidArgument,
                     "--variants: the experiment has no variant \"{}\", expected some of {}", name,
                     fmt::join(names, ", "));
      }
      chosen.push_back(*found);
    }
    experiment.variants = std::move(chosen);
  }
  if (overrides.epochs > 0) {
    for (Variant& variant : experiment.variants) variant.options["epochs"] = overrides.epochs;
  }
  return Status();
}

}  // namespace dcn::sweep
