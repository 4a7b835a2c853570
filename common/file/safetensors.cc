#include "common/file/safetensors.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/bytes.h"
#include "common/check.h"
#include "common/file/atomic_write.h"
#include "common/file/json.h"

namespace dcn {
namespace {

using nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kHeaderAlignment = 8;
constexpr std::size_t kMaxHeaderBytes = 100'000'000;
constexpr const char* kMetadataKey = "__metadata__";

/// The product of the extents, or nothing when its size in bytes overflows.
std::optional<std::size_t> FloatCount(const std::vector<std::size_t>& shape) {
  std::size_t count = 1;
  for (const std::size_t extent : shape) {
    if (__builtin_mul_overflow(count, extent, &count)) return std::nullopt;
  }
  if (count > SIZE_MAX / sizeof(float)) return std::nullopt;
  return count;
}

Result<std::string> MakeHeader(const std::filesystem::path& path,
                               std::span<const TensorView> tensors,
                               const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  std::set<std::string_view> names{kMetadataKey};
  std::size_t offset = 0;
  for (const TensorView& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      return Error(StatusCode::kInvalidArgument, "cannot write {}: tensor name '{}' is {}",
                   path.string(), tensor.name,
                   tensor.name == kMetadataKey ? "reserved" : "there twice");
    }
    DCN_CHECK(FloatCount(tensor.shape) == tensor.values.size());
    const std::size_t end = offset + tensor.values.size_bytes();
    header[tensor.name] = {
        {"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  try {
    std::string text = header.dump();
    text.append((kHeaderAlignment - text.size() % kHeaderAlignment) % kHeaderAlignment, ' ');
    return text;
  } catch (const json::exception& error) {
    return Error(StatusCode::kInvalidArgument,
                 "cannot write {}: a name or metadata is no UTF-8: {}", path.string(),
                 error.what());
  }
}

/// One entry of a header, not yet compared with the others.
struct Entry {
  std::string name;
  std::vector<std::size_t> shape;
  std::size_t begin = 0;  // bytes from the header's end
  std::size_t end = 0;
};

/// An array of non-negative integers, or nothing.
std::optional<std::vector<std::size_t>> ReadSizes(const json& value) {
  if (!value.is_array()) return std::nullopt;
  std::vector<std::size_t> sizes;
  sizes.reserve(value.size());
  for (const json& element : value) {
    if (!element.is_number_unsigned()) return std::nullopt;
    sizes.push_back(element.get<std::size_t>());
  }
  return sizes;
}

/// Decodes one entry. where: "<file>: tensor '<name>'".
Result<Entry> ReadEntry(const std::string& name, const json& value, const std::string& where) {
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
      !value.contains("shape") || !value.contains("data_offsets")) {
    return Error(StatusCode::kDataLoss, "{}: expected an object of dtype, shape, data_offsets",
                 where);
  }
  if (value["dtype"] != "F32") {
    return Error(StatusCode::kDataLoss, "{}: dtype is {}, expected \"F32\"", where,
                 value["dtype"].dump());
  }
  auto shape = ReadSizes(value["shape"]);
  if (!shape) {
    return Error(StatusCode::kDataLoss, "{}: shape is no array of non-negative integers", where);
  }
  const auto offsets = ReadSizes(value["data_offsets"]);
  if (!offsets || offsets->size() != 2 || (*offsets)[0] > (*offsets)[1]) {
    return Error(StatusCode::kDataLoss, "{}: data_offsets is no pair [begin, end]", where);
  }
  Entry entry{name, std::move(*shape), (*offsets)[0], (*offsets)[1]};
  const auto count = FloatCount(entry.shape);
  if (!count || *count * sizeof(float) != entry.end - entry.begin) {
    return Error(StatusCode::kDataLoss, "{}: its shape needs {} bytes, its data_offsets hold {}",
                 where, count ? std::to_string(*count * sizeof(float)) : "more than 2^64",
                 entry.end - entry.begin);
  }
  return entry;
}

Status ReadMetadata(const json& value, const std::string& file,
                    std::map<std::string, std::string>& metadata) {
  if (!value.is_object()) {
    return Error(StatusCode::kDataLoss, "{}: {} is no object", file, kMetadataKey);
  }
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      return Error(StatusCode::kDataLoss, "{}: {}: the value of '{}' is no string", file,
                   kMetadataKey, key);
    }
    metadata[key] = text.get<std::string>();
  }
  return {};
}

/// Checks that the sorted entries cover [0, data_bytes) exactly.
Status CheckCover(const std::vector<Entry>& entries, std::size_t data_bytes,
                  const std::string& file) {
  std::size_t covered = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != covered) {
      return Error(StatusCode::kDataLoss,
                   "{}: tensor '{}' begins at byte {} of the data, expected {}", file, entry.name,
                   entry.begin, covered);
    }
    covered = entry.end;
  }
  if (covered != data_bytes) {
    return Error(StatusCode::kDataLoss,
                 "{}: the header describes {} bytes of data, the file has {}", file, covered,
                 data_bytes);
  }
  return {};
}

/// The header's text, from a file's bytes.
Result<std::string_view> HeaderText(std::span<const std::byte> bytes, const std::string& file) {
  ByteReader reader(bytes);
  const auto length = reader.Read<std::uint64_t>();
  if (!length) {
    return Error(StatusCode::kDataLoss, "{}: {} bytes are too short for a safetensors file", file,
                 bytes.size());
  }
  if (*length > kMaxHeaderBytes || *length > reader.remaining()) {
    return Error(StatusCode::kDataLoss,
                 "{}: byte 0: the header's length is {}, allowed are {} in a file of {} bytes",
                 file, *length, std::min(kMaxHeaderBytes, reader.remaining()), bytes.size());
  }
  if ((kLengthBytes + *length) % alignof(float) != 0) {
    return Error(StatusCode::kDataLoss,
                 "{}: byte 0: the header's length is {}, which does not align float32 data", file,
                 *length);
  }
  return AsText(*reader.ReadBytes(*length));
}

}  // namespace

Status WriteSafetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                        const std::map<std::string, std::string>& metadata) {
  DCN_ASSIGN_OR_RETURN(const std::string header, MakeHeader(path, tensors, metadata));
  std::string start;
  AppendLittleEndian<std::uint64_t>(header.size(), start);
  start += header;
  DCN_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  DCN_RETURN_IF_ERROR(file.Append(start));
  for (const TensorView& tensor : tensors) {
    DCN_RETURN_IF_ERROR(file.Append(std::as_bytes(tensor.values)));
  }
  return file.Commit();
}

Result<SafetensorsFile> SafetensorsFile::Open(const std::filesystem::path& path) {
  DCN_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  SafetensorsFile file(path.string(), std::move(mapped));
  DCN_RETURN_IF_ERROR(file.ReadHeader());
  return file;
}

Status SafetensorsFile::ReadHeader() {
  DCN_ASSIGN_OR_RETURN(const std::string_view text, HeaderText(file_.bytes(), name_));
  DCN_ASSIGN_OR_RETURN(const json header, ParseJson(text, name_ + ": header"));
  if (!header.is_object()) return Error(StatusCode::kDataLoss, "{}: header: no object", name_);
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == kMetadataKey) {
      DCN_RETURN_IF_ERROR(ReadMetadata(value, name_, metadata_));
      continue;
    }
    DCN_ASSIGN_OR_RETURN(Entry entry,
                         ReadEntry(name, value, fmt::format("{}: tensor '{}'", name_, name)));
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  const auto data = file_.bytes().subspan(kLengthBytes + text.size());
  DCN_RETURN_IF_ERROR(CheckCover(entries, data.size(), name_));
  for (Entry& entry : entries) {
    const auto* values = reinterpret_cast<const float*>(data.data() + entry.begin);
    tensors_.push_back({std::move(entry.name),
                        std::move(entry.shape),
                        {values, (entry.end - entry.begin) / sizeof(float)}});
  }
  return {};
}

Result<TensorView> SafetensorsFile::Get(std::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&](const TensorView& tensor) { return tensor.name == name; });
  if (found == tensors_.end()) {
    return Error(StatusCode::kNotFound, "{}: there is no tensor '{}'", name_, name);
  }
  return *found;
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const TensorView& tensor : tensors_) names.push_back(tensor.name);
  return names;
}

}  // namespace dcn
