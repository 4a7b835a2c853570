#include "worker/checkpoint/manifest.h"

#include "common/digest.h"
#include "common/file/json.h"
#include "common/file/read_file.h"

namespace dcn::checkpoint {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "dcn-checkpoint-1";
// Bounds the memory that reading one takes; some 70 bytes an epoch, 100 a tensor of a shard.
constexpr std::size_t kMaxManifestBytes = std::size_t{1} << 27;

json TrainingJson(const train::Training& training) {
  json epochs = json::array();
  for (const train::Epoch& epoch : training.epochs) {
    epochs.push_back({{"mean_loss", epoch.mean_loss}, {"seconds", epoch.seconds}});
  }
  return {{"rows", training.rows},
          {"seconds", training.seconds},
          {"epochs", epochs},
          {"open_epoch",
           {{"squared_error", training.open_epoch.squared_error},
            {"rows", training.open_epoch.rows},
            {"begin_seconds", training.open_epoch.begin_seconds}}}};
}

train::Training TrainingOf(const json& value) {
  train::Training training;
  training.rows = value.at("rows").get<std::size_t>();
  training.seconds = value.at("seconds").get<double>();
  for (const json& epoch : value.at("epochs")) {
    training.epochs.push_back(
        {epoch.at("mean_loss").get<double>(), epoch.at("seconds").get<double>()});
  }
  const json& open = value.at("open_epoch");
  training.open_epoch = {.squared_error = open.at("squared_error").get<double>(),
                         .rows = open.at("rows").get<std::size_t>(),
                         .begin_seconds = open.at("begin_seconds").get<double>()};
  return training;
}

// The checksum is the first member of the file's object, and is taken of the text without it.
constexpr std::string_view kStart = "{\n \"checksum\": \"";
constexpr std::string_view kEnd = "\",\n";
constexpr std::string_view kContentStart = "{\n";
constexpr std::size_t kChecksumLength = 32;  // of XXH3-128 in hex
constexpr std::size_t kContentAt = kStart.size() + kChecksumLength + kEnd.size();

// Of what the checksum is taken, and its text in the file. Members stand in alphabetical order.
std::string Text(const json& content) { return content.dump(1) + "\n"; }

Result<Manifest> Decode(const json& content, const std::string& file) {
  Manifest manifest;
  try {
    if (content.at("format") != kFormat) {
      return Error(StatusCode::kDataLoss, "{}: format is {}, expected \"{}\"", file,
                   content.at("format").dump(), kFormat);
    }
    manifest.step = content.at("step").get<ps::Step>();
    manifest.epoch = content.at("epoch").get<std::uint64_t>();
    manifest.configuration = content.at("configuration");
    manifest.engine = content.at("engine").get<std::string>();
    manifest.version = content.at("version").get<std::string>();
    manifest.shards = content.at("shards").get<std::uint32_t>();
    manifest.buckets = content.at("virtual_buckets").get<std::uint32_t>();
    manifest.training = TrainingOf(content.at("training"));
    for (const auto& [name, record] : content.at("files").items()) {
      DCN_ASSIGN_OR_RETURN(manifest.files[name],
                           TensorFileRecord::Parse(record, file + ": files: " + name));
    }
    // One file of each, and the dense one: whoever counts to `shards` counts no further than that.
    if (manifest.shards == 0 || manifest.files.size() - 1 != manifest.shards) {
      return Error(StatusCode::kDataLoss, "{}: {} shards, and {} files", file, manifest.shards,
                   manifest.files.size());
    }
  } catch (const json::exception& error) {
    return Error(StatusCode::kDataLoss, "{}: {}", file, error.what());
  }
  return manifest;
}

}  // namespace

std::string ToText(const Manifest& manifest) {
  json files = json::object();
  for (const auto& [name, record] : manifest.files) files[name] = record.ToJson();
  json content = {{"format", kFormat},
                  {"step", manifest.step},
                  {"epoch", manifest.epoch},
                  {"configuration", manifest.configuration},
                  {"engine", manifest.engine},
                  {"version", manifest.version},
                  {"shards", manifest.shards},
                  {"virtual_buckets", manifest.buckets},
                  {"training", TrainingJson(manifest.training)},
                  {"files", files}};
  content["checksum"] = Digest128Hex(Text(content));
  return Text(content);
}

Result<Manifest> ParseManifest(std::string_view text, const std::string& file) {
  // Before anything is made of it: JSON takes many times the memory of its text.
  if (!text.starts_with(kStart) || text.size() < kContentAt ||
      text.substr(kContentAt - kEnd.size(), kEnd.size()) != kEnd) {
    return Error(StatusCode::kDataLoss, "{}: not as this program writes it", file);
  }
  const std::string_view checksum = text.substr(kStart.size(), kChecksumLength);
  Digest128 digest;
  digest.Update(kContentStart);
  digest.Update(text.substr(kContentAt));
  if (digest.Hex() != checksum) {
    return Error(StatusCode::kDataLoss, "{}: the checksum of its content is {}, it says {}", file,
                 digest.Hex(), checksum);
  }
  DCN_ASSIGN_OR_RETURN(const json content, ParseJson(text, file));
  return Decode(content, file);
}

Result<Manifest> ReadManifest(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kManifestFile;
  const Result<std::string> text = ReadFile(path, kMaxManifestBytes);
  if (text.status().code() == StatusCode::kOutOfRange) {
    return Status(StatusCode::kDataLoss, text.status().message());
  }
  DCN_RETURN_IF_ERROR(text.status());
  return ParseManifest(*text, path.string());
}

}  // namespace dcn::checkpoint
