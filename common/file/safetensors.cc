#include "common/file/safetensors.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
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

constexpr std::pair<Dtype, std::string_view> kDtypeNames[] = {
    {Dtype::kF32, "F32"}, {Dtype::kF64, "F64"}, {Dtype::kU32, "U32"}, {Dtype::kU64, "U64"}};

std::string_view DtypeName(Dtype dtype) {
  return kDtypeNames[static_cast<std::size_t>(dtype)].second;
}

/// The bytes of an array, or nothing when that overflows.
std::optional<std::size_t> ByteCount(Dtype dtype, const std::vector<std::size_t>& shape) {
  std::size_t bytes = DtypeBytes(dtype);
  for (const std::size_t extent : shape) {
    if (__builtin_mul_overflow(bytes, extent, &bytes)) return std::nullopt;
  }
  return bytes;
}

Result<std::string> MakeHeader(const std::filesystem::path& path,
                               std::span<const TensorInfo> tensors,
                               const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  std::set<std::string_view> names{kMetadataKey};
  std::size_t offset = 0;
  for (const TensorInfo& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      return Error(StatusCode::kInvalidArgument, "cannot write {}: tensor name '{}' is {}",
                   path.string(), tensor.name,
                   tensor.name == kMetadataKey ? "reserved" : "there twice");
    }
    DCN_CHECK_EQ(offset % DtypeBytes(tensor.dtype), std::size_t{0});  // longer elements first
    const std::size_t end = offset + tensor.bytes();
    header[tensor.name] = {{"dtype", DtypeName(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, end}}};
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
  TensorInfo info;
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
  const auto dtype = std::ranges::find_if(
      kDtypeNames, [&](const auto& known) { return value["dtype"] == known.second; });
  if (dtype == std::end(kDtypeNames)) {
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
  Entry entry{{name, dtype->first, std::move(*shape)}, (*offsets)[0], (*offsets)[1]};
  const auto bytes = ByteCount(entry.info.dtype, entry.info.shape);
  if (!bytes || *bytes != entry.end - entry.begin) {
    return Error(StatusCode::kDataLoss, "{}: its shape needs {} bytes, its data_offsets hold {}",
                 where, bytes ? std::to_string(*bytes) : "more than 2^64", entry.end - entry.begin);
  }
  if (entry.begin % DtypeBytes(entry.info.dtype) != 0) {
    return Error(StatusCode::kDataLoss, "{}: it begins at byte {}, which does not align {}", where,
                 entry.begin, dtype->second);
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
                   "{}: tensor '{}' begins at byte {} of the data, expected {}", file,
                   entry.info.name, entry.begin, covered);
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

std::size_t DtypeBytes(Dtype dtype) { return dtype == Dtype::kF64 || dtype == Dtype::kU64 ? 8 : 4; }

std::size_t TensorInfo::bytes() const {
  const auto bytes = ByteCount(dtype, shape);
  DCN_CHECK(bytes.has_value());
  return *bytes;
}

Result<std::string> SafetensorsHeader(const std::filesystem::path& path,
                                      std::span<const TensorInfo> tensors,
                                      const std::map<std::string, std::string>& metadata) {
  DCN_ASSIGN_OR_RETURN(const std::string header, MakeHeader(path, tensors, metadata));
  std::string start;
  AppendLittleEndian<std::uint64_t>(header.size(), start);
  start += header;
  return start;
}

Status WriteSafetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::vector<TensorInfo> infos;
  for (const TensorView& tensor : tensors) {
    infos.push_back({tensor.name, Dtype::kF32, tensor.shape});
    DCN_CHECK_EQ(infos.back().bytes(), tensor.values.size_bytes());
  }
  DCN_ASSIGN_OR_RETURN(const std::string start, SafetensorsHeader(path, infos, metadata));
  DCN_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  DCN_RETURN_IF_ERROR(file.Append(start));
  for (const TensorView& tensor : tensors) {
    DCN_RETURN_IF_ERROR(file.Append(std::as_bytes(tensor.values)));
  }
  return file.Commit();
}

Result<SafetensorsFile> SafetensorsFile::Open(const std::filesystem::path& path) {
  DCN_ASSIGN_OR_RETURN(SafetensorsFile file, OpenTyped(path));
  for (const TensorInfo& tensor : file.infos_) {
    if (tensor.dtype == Dtype::kF32) continue;
    return Error(StatusCode::kDataLoss, "{}: tensor '{}': dtype is \"{}\", expected \"F32\"",
                 file.name_, tensor.name, DtypeName(tensor.dtype));
  }
  return file;
}

Result<SafetensorsFile> SafetensorsFile::OpenTyped(const std::filesystem::path& path) {
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
    return std::tie(a.begin, a.end, a.info.name) < std::tie(b.begin, b.end, b.info.name);
  });
  header_ = file_.bytes().first(kLengthBytes + text.size());
  const auto data = file_.bytes().subspan(header_.size());
  DCN_RETURN_IF_ERROR(CheckCover(entries, data.size(), name_));
  for (Entry& entry : entries) {
    if (header_.size() % DtypeBytes(entry.info.dtype) != 0) {
      return Error(StatusCode::kDataLoss, "{}: a header of {} bytes does not align tensor '{}'",
                   name_, header_.size(), entry.info.name);
    }
    bytes_.push_back(data.subspan(entry.begin, entry.end - entry.begin));
    if (entry.info.dtype == Dtype::kF32) {
      const auto* values = reinterpret_cast<const float*>(bytes_.back().data());
      tensors_.push_back(
          {entry.info.name, entry.info.shape, {values, bytes_.back().size() / sizeof(float)}});
    }
    infos_.push_back(std::move(entry.info));
  }
  return {};
}

Result<std::span<const std::byte>> SafetensorsFile::Find(std::string_view name, Dtype dtype) const {
  const auto found = std::ranges::find(infos_, name, &TensorInfo::name);
  if (found == infos_.end()) {
    return Error(StatusCode::kDataLoss, "{}: there is no tensor '{}'", name_, name);
  }
  if (found->dtype != dtype) {
    return Error(StatusCode::kDataLoss, "{}: tensor '{}' is of {}, expected {}", name_, name,
                 DtypeName(found->dtype), DtypeName(dtype));
  }
  return bytes_[static_cast<std::size_t>(found - infos_.begin())];
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
