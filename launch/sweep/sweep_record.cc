#include "launch/sweep/sweep_record.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/file/atomic_write.h"
#include "common/file/mapped_file.h"

namespace dcn::sweep {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;

Status Differs(const std::string& field, const std::string& recorded, const std::string& now) {
  return Error(StatusCode::kAlreadyExists,
               "the output folder holds another experiment: {} is {} there and {} here; choose "
               "another --output, or repeat the settings it was started with",
               field, recorded, now);
}

std::string Shown(const json& options, const std::string& key) {
  return options.contains(key) ? options.at(key).dump() : "not set";
}

Status CompareOptions(const Variant& now, const Variant& recorded) {
  std::set<std::string> keys;
  for (const auto& [key, value] : now.options.items()) keys.insert(key);
  for (const auto& [key, value] : recorded.options.items()) keys.insert(key);
  for (const std::string& key : keys) {
    const std::string here = Shown(now.options, key);
    const std::string there = Shown(recorded.options, key);
    if (here != there) return Differs("variant " + now.name + ", " + key, there, here);
  }
  return Status();
}

const Variant* FindVariant(const std::vector<Variant>& variants, const std::string& name) {
  const auto found = std::find_if(variants.begin(), variants.end(),
                                  [&](const Variant& variant) { return variant.name == name; });
  return found == variants.end() ? nullptr : &*found;
}

json ToJson(const SweepRecord& record) {
  json variants = json::array();
  for (const Variant& variant : record.variants) {
    variants.push_back({{"name", variant.name}, {"options", variant.options}});
  }
  return {{"format", kFormat},
          {"experiment", record.experiment},
          {"title", record.title},
          {"data",
           {{"source", record.data.source},
            {"name", record.data.name},
            {"fingerprint", record.data.fingerprint},
            {"rows", record.data.rows}}},
          {"seeds", record.seeds},
          {"variants", std::move(variants)}};
}

SweepRecord FromJson(const json& object) {
  SweepRecord record;
  object.at("experiment").get_to(record.experiment);
  object.at("title").get_to(record.title);
  const json& data = object.at("data");
  data.at("source").get_to(record.data.source);
  data.at("name").get_to(record.data.name);
  data.at("fingerprint").get_to(record.data.fingerprint);
  data.at("rows").get_to(record.data.rows);
  object.at("seeds").get_to(record.seeds);
  for (const json& variant : object.at("variants")) {
    record.variants.push_back({variant.at("name").get<std::string>(), variant.at("options")});
  }
  return record;
}

}  // namespace

SweepRecord MakeSweepRecord(const Experiment& experiment, DataIdentity data) {
  return {experiment.name, experiment.title, std::move(data), experiment.seeds,
          experiment.variants};
}

Status MergeSweepRecord(const SweepRecord& now, SweepRecord& recorded) {
  if (now.experiment != recorded.experiment) {
    return Differs("name", recorded.experiment, now.experiment);
  }
  if (now.data.name != recorded.data.name) {
    return Differs("data", recorded.data.name, now.data.name);
  }
  if (now.data.rows != recorded.data.rows) {
    return Differs("number of ratings in the data", std::to_string(recorded.data.rows),
                   std::to_string(now.data.rows));
  }
  if (now.data.fingerprint != recorded.data.fingerprint) {
    return Differs("fingerprint of the data", recorded.data.fingerprint, now.data.fingerprint);
  }
  for (const Variant& variant : now.variants) {
    const Variant* other = FindVariant(recorded.variants, variant.name);
    if (other != nullptr) DCN_RETURN_IF_ERROR(CompareOptions(variant, *other));
  }
  recorded.title = now.title;
  recorded.data.source = now.data.source;
  for (const std::uint64_t seed : now.seeds) {
    if (std::find(recorded.seeds.begin(), recorded.seeds.end(), seed) == recorded.seeds.end()) {
      recorded.seeds.push_back(seed);
    }
  }
  for (const Variant& variant : now.variants) {
    if (FindVariant(recorded.variants, variant.name) == nullptr) {
      recorded.variants.push_back(variant);
    }
  }
  return Status();
}

Result<SweepRecord> ReadSweepRecord(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / kSweepRecordFile;
  DCN_ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(file));
  try {
    const json object = json::parse(mapped.text());
    if (object.at("format") != kFormat) {
      return Error(StatusCode::kDataLoss, "{}: format {} is not known, expected {}", file.string(),
                   object.at("format").dump(), kFormat);
    }
    return FromJson(object);
  } catch (const json::exception& error) {
    return Error(StatusCode::kDataLoss, "{}: not the record of a sweep: {}", file.string(),
                 error.what());
  }
}

Status WriteSweepRecord(const SweepRecord& record, const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kSweepRecordFile;
  const std::string text = ToJson(record).dump(2) + "\n";
  const Result<MappedFile> present = MappedFile::Open(path);
  if (present.ok() && present->text() == text) return Status();  // where the disk is full, too
  return WriteFileAtomically(path, text);
}

}  // namespace dcn::sweep
