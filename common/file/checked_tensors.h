// A safetensors file whose every byte is known: written array by array in pieces, with a checksum
// of each array and of the header, and read back only if all of them agree.
//
// Who writes keeps the record (sizes and checksums) elsewhere, and later asks whether the file
// still is what was written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/digest.h"
#include "common/file/atomic_write.h"
#include "common/file/safetensors.h"
#include "common/status.h"

namespace dcn {

/// What a file must look like. Checksums are XXH3-128 in hex.
struct TensorFileRecord {
  std::uint64_t bytes = 0;
  std::string header;                          // of the bytes before the first array
  std::map<std::string, std::string> tensors;  // by name
  friend bool operator==(const TensorFileRecord&, const TensorFileRecord&) = default;

  [[nodiscard]] nlohmann::json ToJson() const;
  /// kDataLoss: not what ToJson makes; names `where` and the field.
  static Result<TensorFileRecord> Parse(const nlohmann::json& value, const std::string& where);
};

/// A file being written; as AtomicFile, it is there whole or not at all.
/// Move-only. Thread safety: none.
class TensorFileWriter {
 public:
  /// Errors: those of SafetensorsHeader and AtomicFile.
  static Result<TensorFileWriter> Create(const std::filesystem::path& path,
                                         const std::vector<TensorInfo>& tensors,
                                         const std::map<std::string, std::string>& metadata);

  /// The next bytes of array `index` (its place in `tensors`), whatever was written of the others.
  Status Append(std::size_t index, std::span<const std::byte> bytes);
  template <typename T>
  Status Append(std::size_t index, const std::vector<T>& values) {
    return Append(index, std::as_bytes(std::span(values)));
  }

  /// Makes the file durable under its name. REQUIRES: all arrays are whole.
  Result<TensorFileRecord> Commit();

 private:
  struct Part {
    std::string name;
    std::uint64_t next = 0;  // in the file
    std::uint64_t end = 0;
    Digest128 digest;
  };
  TensorFileWriter(AtomicFile file, std::vector<Part> parts, TensorFileRecord record);

  AtomicFile file_;
  std::vector<Part> parts_;
  TensorFileRecord record_;
};

/// Opens a file and compares it with its record. kNotFound: it is not there. kDataLoss: the file,
/// what differs, with both values; or the disk cannot give it (EIO). Other errors:
/// SafetensorsFile::OpenTyped's; kInternal where it cannot be read for another reason.
[[nodiscard]] Result<SafetensorsFile> OpenCheckedTensors(const std::filesystem::path& path,
                                                         const TensorFileRecord& record);

}  // namespace dcn
