#include "common/file/checked_tensors.h"

#include <cerrno>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include "common/check.h"
#include "common/file/file_descriptor.h"

namespace dcn {

using nlohmann::json;

json TensorFileRecord::ToJson() const {
  return {{"bytes", bytes}, {"header", header}, {"tensors", tensors}};
}

Result<TensorFileRecord> TensorFileRecord::Parse(const json& value, const std::string& where) {
  TensorFileRecord record;
  try {
    record.bytes = value.at("bytes").get<std::uint64_t>();
    record.header = value.at("header").get<std::string>();
    record.tensors = value.at("tensors").get<std::map<std::string, std::string>>();
  } catch (const json::exception& error) {
    return Error(StatusCode::kDataLoss, "{}: no record of a file: {}", where, error.what());
  }
  return record;
}

TensorFileWriter::TensorFileWriter(AtomicFile file, std::vector<Part> parts,
                                   TensorFileRecord record)
    : file_(std::move(file)), parts_(std::move(parts)), record_(std::move(record)) {}

Result<TensorFileWriter> TensorFileWriter::Create(
    const std::filesystem::path& path, const std::vector<TensorInfo>& tensors,
    const std::map<std::string, std::string>& metadata) {
  DCN_ASSIGN_OR_RETURN(const std::string header, SafetensorsHeader(path, tensors, metadata));
  DCN_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  DCN_RETURN_IF_ERROR(file.Append(header));
  TensorFileRecord record;
  record.header = Digest128Hex(header);
  record.bytes = header.size();
  std::vector<Part> parts;
  for (const TensorInfo& tensor : tensors) {
    Part part;
    part.name = tensor.name;
    part.next = record.bytes;
    part.end = part.next + tensor.bytes();
    record.bytes = part.end;
    parts.push_back(std::move(part));
  }
  return TensorFileWriter(std::move(file), std::move(parts), std::move(record));
}

Status TensorFileWriter::Append(std::size_t index, std::span<const std::byte> bytes) {
  Part& part = parts_.at(index);
  DCN_CHECK_LE(bytes.size(), part.end - part.next);
  DCN_RETURN_IF_ERROR(file_.WriteAt(part.next, bytes));
  part.digest.Update(bytes);
  part.next += bytes.size();
  return Status();
}

Result<TensorFileRecord> TensorFileWriter::Commit() {
  for (const Part& part : parts_) {
    DCN_CHECK_EQ(part.next, part.end);
    record_.tensors[part.name] = part.digest.Hex();
  }
  DCN_RETURN_IF_ERROR(file_.Commit());
  return record_;
}

namespace {

Status Differs(const std::filesystem::path& path, const std::string& what, const std::string& found,
               const std::string& wanted) {
  return Error(StatusCode::kDataLoss, "{}: {} {}, recorded is {}", path.string(), what, found,
               wanted);
}

// Reads the file, of so many bytes, once from its start to its end: what the disk cannot give is an
// error here, and would be a deadly signal where the file is mapped.
Status ReadThrough(const std::filesystem::path& path, std::uint64_t bytes) {
  const Result<RegularFile> opened = OpenRegularFile(path);
  if (std::error_code error; !opened.ok() && std::filesystem::exists(path, error) &&
                             !std::filesystem::is_regular_file(path, error) && !error) {
    return Status(StatusCode::kDataLoss, opened.status().message());  // a pipe, a folder
  }
  DCN_RETURN_IF_ERROR(opened.status());
  if (opened->bytes != bytes) {
    return Differs(path, "the size in bytes is", std::to_string(opened->bytes),
                   std::to_string(bytes));
  }
  std::vector<std::byte> buffer(std::size_t{1} << 20);
  for (off_t offset = 0;;) {
    const ssize_t count = ::pread(opened->file.get(), buffer.data(), buffer.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error_number = errno;
      return FileError(error_number == EIO ? StatusCode::kDataLoss : StatusCode::kInternal,
                       "cannot read", path, error_number);
    }
    offset += count;
    if (count == 0 || static_cast<std::uint64_t>(offset) >= bytes) return Status();
  }
}

}  // namespace

Result<SafetensorsFile> OpenCheckedTensors(const std::filesystem::path& path,
                                           const TensorFileRecord& record) {
  DCN_RETURN_IF_ERROR(ReadThrough(path, record.bytes));
  DCN_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::OpenTyped(path));
  std::uint64_t bytes = file.header_bytes().size();
  for (const TensorInfo& tensor : file.infos()) bytes += tensor.bytes();
  if (bytes != record.bytes) {
    return Differs(path, "the size in bytes is", std::to_string(bytes),
                   std::to_string(record.bytes));
  }
  const std::string header = Digest128Hex(file.header_bytes());
  if (header != record.header)
    return Differs(path, "the header's checksum is", header, record.header);
  for (std::size_t i = 0; i < file.infos().size(); ++i) {
    const std::string& name = file.infos()[i].name;
    const auto wanted = record.tensors.find(name);
    const std::string checksum = Digest128Hex(file.bytes(i));
    if (wanted == record.tensors.end())
      return Differs(path, "tensor '" + name + "' is", "there", "none");
    if (checksum != wanted->second) {
      return Differs(path, "tensor '" + name + "' has the checksum", checksum, wanted->second);
    }
  }
  return file;
}

}  // namespace dcn
