// Named float32 arrays in one file, in the safetensors format that other programs read.
//
// Layout: the header's length (8 bytes, little-endian), the header (JSON, padded with blanks to a
// multiple of 8), the arrays one after another without gaps. The header maps each name to
// {"dtype": "F32", "shape": […], "data_offsets": [begin, end]}, offsets in bytes from the header's
// end, and "__metadata__" to an object of strings.
#pragma once

#include <cstddef>
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

  /// kNotFound: no tensor of that name.
  [[nodiscard]] Result<TensorView> Get(std::string_view name) const;

  /// All tensors, in the order of their bytes.
  [[nodiscard]] std::span<const TensorView> tensors() const { return tensors_; }
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  SafetensorsFile(std::string name, MappedFile file)
      : name_(std::move(name)), file_(std::move(file)) {}

  Status ReadHeader();

  std::string name_;  // the path, for messages
  MappedFile file_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace dcn
