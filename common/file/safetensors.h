// Named arrays in one file, in the safetensors format that other programs read.
//
// Layout: the header's length (8 bytes, little-endian), the header (JSON, padded with blanks to a
// multiple of 8), the arrays one after another without gaps. The header maps each name to
// {"dtype": "F32", "shape": […], "data_offsets": [begin, end]}, offsets in bytes from the header's
// end, and "__metadata__" to an object of strings. Arrays of 8-byte elements come first, so that
// all lie where they can be read in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/file/mapped_file.h"
#include "common/status.h"

namespace dcn {

/// A named array that somebody else holds: values.size() is the product of `shape`, row-major.
struct TensorView {
  std::string name;
  std::vector<std::size_t> shape;
  std::span<const float> values;
};

/// Types of elements that we write; others are refused where a file is read.
enum class Dtype : std::uint8_t { kF32, kF64, kU32, kU64 };
[[nodiscard]] std::size_t DtypeBytes(Dtype dtype);
template <typename T>
inline constexpr Dtype kDtypeOf = Dtype{};
template <>
inline constexpr Dtype kDtypeOf<float> = Dtype::kF32;
template <>
inline constexpr Dtype kDtypeOf<double> = Dtype::kF64;
template <>
inline constexpr Dtype kDtypeOf<std::uint32_t> = Dtype::kU32;
template <>
inline constexpr Dtype kDtypeOf<std::uint64_t> = Dtype::kU64;

/// What a header says of an array.
struct TensorInfo {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<std::size_t> shape;
  [[nodiscard]] std::size_t bytes() const;
};

/// A file's bytes before its arrays: the length and the header. path: for errors, as below.
Result<std::string> SafetensorsHeader(const std::filesystem::path& path,
                                      std::span<const TensorInfo> tensors,
                                      const std::map<std::string, std::string>& metadata);

/// Writes the tensors in the given order, atomically (atomic_write.h, whose errors it returns).
/// kInvalidArgument: a name twice, the reserved name "__metadata__", or text that is no UTF-8.
Status WriteSafetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                        const std::map<std::string, std::string>& metadata);

/// A mapped safetensors file, checked as a whole when opened. Move-only; the views that it gives
/// stay valid when it is moved, until it is destroyed. Thread safety: immutable.
class SafetensorsFile {
 public:
  /// Errors of MappedFile::Open, or kDataLoss: the file's name, the place and what is wrong there:
  /// header (at most 100 MB, inside the file), a dtype other than F32, a shape that does not fit
  /// its offsets, arrays that overlap, leave gaps or do not end with the file.
  static Result<SafetensorsFile> Open(const std::filesystem::path& path);
  /// The same for files of any Dtype; read them with Values.
  static Result<SafetensorsFile> OpenTyped(const std::filesystem::path& path);

  /// kNotFound: no float32 tensor of that name.
  [[nodiscard]] Result<TensorView> Get(std::string_view name) const;

  /// The elements of an array, row-major. kDataLoss: it is not there, or of another type.
  template <typename T>
  [[nodiscard]] Result<std::span<const T>> Values(std::string_view name) const {
    DCN_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, Find(name, kDtypeOf<T>));
    return std::span<const T>(reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T));
  }

  /// The float32 tensors, in the order of their bytes.
  [[nodiscard]] std::span<const TensorView> tensors() const { return tensors_; }
  /// All arrays, in the order of their bytes.
  [[nodiscard]] std::span<const TensorInfo> infos() const { return infos_; }
  /// The bytes of infos()[index], and those before the first array.
  [[nodiscard]] std::span<const std::byte> bytes(std::size_t index) const { return bytes_[index]; }
  [[nodiscard]] std::span<const std::byte> header_bytes() const { return header_; }
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  SafetensorsFile(std::string name, MappedFile file)
      : name_(std::move(name)), file_(std::move(file)) {}

  Status ReadHeader();
  [[nodiscard]] Result<std::span<const std::byte>> Find(std::string_view name, Dtype dtype) const;

  std::string name_;  // the path, for messages
  MappedFile file_;
  std::span<const std::byte> header_;
  std::vector<TensorInfo> infos_;
  std::vector<std::span<const std::byte>> bytes_;  // by the place in infos_
  std::vector<TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace dcn
