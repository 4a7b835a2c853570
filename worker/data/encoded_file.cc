#include "worker/data/encoded_file.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/bytes.h"
#include "common/check.h"
#include "common/digest.h"
#include "common/file/atomic_write.h"
#include "common/file/json.h"
#include "common/file/mapped_file.h"

namespace dcn::data {
namespace {

constexpr std::string_view kMagic("DCNDATA\0", 8);
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 64;
constexpr std::size_t kChecksumBytes = 32;
constexpr std::uint32_t kMaxFeatures = 1024;

// Where the parts of a file lie.
struct Layout {
  std::uint32_t features = 0;
  std::uint64_t rows = 0;
  std::uint64_t metadata_bytes = 0;

  [[nodiscard]] std::size_t ids_bytes() const { return rows * features * sizeof(std::uint32_t); }
  [[nodiscard]] std::size_t labels_bytes() const { return rows * sizeof(float); }
};

std::string HeaderText(const Layout& layout) {
  std::string header(kMagic);
  AppendLittleEndian(kVersion, header);
  AppendLittleEndian(layout.features, header);
  AppendLittleEndian(layout.rows, header);
  AppendLittleEndian(layout.metadata_bytes, header);
  header.resize(kHeaderBytes, '\0');
  return header;
}

// kDataLoss unless the header's sizes add up to exactly `file_bytes`.
Result<Layout> ReadHeader(std::span<const std::byte> file, const std::string& name) {
  ByteReader reader(file);
  const auto magic = reader.ReadBytes(kMagic.size());
  if (file.size() < kHeaderBytes + kChecksumBytes || AsText(*magic) != kMagic) {
    return Error(StatusCode::kDataLoss, "{}: not an encoded data set, or cut short", name);
  }
  if (const std::uint32_t version = *reader.Read<std::uint32_t>(); version != kVersion) {
    return Error(StatusCode::kDataLoss, "{}: expected version {}, found {}", name, kVersion,
                 version);
  }
  Layout layout;
  layout.features = *reader.Read<std::uint32_t>();
  layout.rows = *reader.Read<std::uint64_t>();
  layout.metadata_bytes = *reader.Read<std::uint64_t>();
  // With these bounds no product or sum below overflows.
  const std::uint64_t payload = file.size() - kHeaderBytes - kChecksumBytes;
  const bool is_possible = layout.features >= 1 && layout.features <= kMaxFeatures &&
                           layout.rows <= payload / sizeof(float) &&
                           layout.metadata_bytes <= payload;
  if (!is_possible ||
      layout.ids_bytes() + layout.labels_bytes() + layout.metadata_bytes != payload) {
    return Error(StatusCode::kDataLoss, "{}: its {} bytes are not those of {} rows of {} features",
                 name, file.size(), layout.rows, layout.features);
  }
  return layout;
}

std::string MetadataText(std::string_view source_key, const Dataset& dataset) {
  nlohmann::json metadata;
  metadata["source_key"] = source_key;
  metadata["name"] = dataset.name();
  metadata["fingerprint"] = dataset.fingerprint();
  if (dataset.noise_floor_rmse()) metadata["noise_floor_rmse"] = *dataset.noise_floor_rmse();
  for (const Vocabulary& vocabulary : dataset.vocabularies()) {
    metadata["vocabularies"].push_back({{"feature", vocabulary.feature},
                                        {"is_integer", vocabulary.is_integer},
                                        {"values", vocabulary.values}});
  }
  return metadata.dump();
}

struct Metadata {
  std::string source_key;
  std::string name;
  std::string fingerprint;
  std::optional<double> noise_floor_rmse;
  std::vector<Vocabulary> vocabularies;
};

Result<Metadata> ParseMetadata(std::string_view text, const std::string& name) {
  DCN_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(text, name));
  try {
    Metadata metadata;
    json.at("source_key").get_to(metadata.source_key);
    json.at("name").get_to(metadata.name);
    json.at("fingerprint").get_to(metadata.fingerprint);
    if (json.contains("noise_floor_rmse")) {
      metadata.noise_floor_rmse = json.at("noise_floor_rmse").get<double>();
    }
    for (const nlohmann::json& vocabulary : json.at("vocabularies")) {
      metadata.vocabularies.push_back(
          {.feature = vocabulary.at("feature").get<std::string>(),
           .is_integer = vocabulary.at("is_integer").get<bool>(),
           .values = vocabulary.at("values").get<std::vector<std::string>>()});
    }
    return metadata;
  } catch (const nlohmann::json::exception& error) {
    return Error(StatusCode::kDataLoss, "{}: metadata: {}", name, error.what());
  }
}

// The checksum speaks against damage; this, against a writer that was wrong.
bool IdsAreRows(std::span<const std::uint32_t> ids, const std::vector<Vocabulary>& vocabularies) {
  std::vector<std::uint32_t> largest(vocabularies.size());
  for (std::size_t at = 0; at < ids.size(); at += largest.size()) {
    for (std::size_t f = 0; f < largest.size(); ++f) largest[f] = std::max(largest[f], ids[at + f]);
  }
  for (std::size_t f = 0; f < largest.size(); ++f) {
    if (largest[f] >= vocabularies[f].table_rows()) return false;
  }
  return true;
}

template <typename T>
std::span<const T> ArrayAt(std::span<const std::byte> file, std::size_t offset, std::size_t bytes) {
  const std::span<const std::byte> part = file.subspan(offset, bytes);
  DCN_CHECK_EQ(reinterpret_cast<std::uintptr_t>(part.data()) % alignof(T), 0U);
  return {reinterpret_cast<const T*>(part.data()), bytes / sizeof(T)};
}

}  // namespace

Status WriteEncodedFile(const std::filesystem::path& path, std::string_view source_key,
                        const Dataset& dataset) {
  const std::string metadata = MetadataText(source_key, dataset);
  const std::string header =
      HeaderText({.features = static_cast<std::uint32_t>(dataset.feature_count()),
                  .rows = dataset.rows(),
                  .metadata_bytes = metadata.size()});
  DCN_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  Digest128 digest;
  for (const std::string_view part : {std::string_view(header), AsText(dataset.ids()),
                                      AsText(dataset.labels()), std::string_view(metadata)}) {
    digest.Update(part);
    DCN_RETURN_IF_ERROR(file.Append(part));
  }
  DCN_RETURN_IF_ERROR(file.Append(digest.Hex()));
  return file.Commit();
}

Result<Dataset> ReadEncodedFile(const std::filesystem::path& path, std::string_view source_key) {
  DCN_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  const auto owner = std::make_shared<const MappedFile>(std::move(mapped));
  const std::span<const std::byte> file = owner->bytes();
  const std::string name = path.string();
  DCN_ASSIGN_OR_RETURN(const Layout layout, ReadHeader(file, name));
  const std::string_view checksum = owner->text().substr(file.size() - kChecksumBytes);
  if (Digest128Hex(file.first(file.size() - kChecksumBytes)) != checksum) {
    return Error(StatusCode::kDataLoss, "{}: its checksum does not fit its content", name);
  }
  const std::size_t labels_at = kHeaderBytes + layout.ids_bytes();
  const std::size_t metadata_at = labels_at + layout.labels_bytes();
  DCN_ASSIGN_OR_RETURN(
      Metadata metadata,
      ParseMetadata(owner->text().substr(metadata_at, layout.metadata_bytes), name));
  if (metadata.source_key != source_key) {
    return Error(StatusCode::kDataLoss, "{}: expected the data of {}, found that of {}", name,
                 source_key, metadata.source_key);
  }
  const auto ids = ArrayAt<std::uint32_t>(file, kHeaderBytes, layout.ids_bytes());
  if (metadata.vocabularies.size() != layout.features || !IdsAreRows(ids, metadata.vocabularies)) {
    return Error(StatusCode::kDataLoss, "{}: its ids do not fit its vocabularies", name);
  }
  return Dataset(std::move(metadata.name), std::move(metadata.vocabularies), ids,
                 ArrayAt<float>(file, labels_at, layout.labels_bytes()), owner,
                 std::move(metadata.fingerprint), metadata.noise_floor_rmse);
}

}  // namespace dcn::data
