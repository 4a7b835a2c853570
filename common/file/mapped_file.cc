#include "common/file/mapped_file.h"

#include <cerrno>
#include <sys/mman.h>
#include <utility>

#include "common/file/file_descriptor.h"

namespace dcn {

Result<MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  DCN_ASSIGN_OR_RETURN(const RegularFile regular, OpenRegularFile(path));
  const std::size_t size = regular.bytes;
  if (size == 0) return MappedFile({});
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, regular.file.get(), 0);
  if (address == MAP_FAILED) return FileError(StatusCode::kInternal, "cannot map", path, errno);
  return MappedFile(std::span(static_cast<const std::byte*>(address), size));
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace dcn
