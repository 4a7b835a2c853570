// One file with a whole encoded data set, made to be mapped: the arrays are used where they lie.
//
// Layout, little-endian:
//   0   "DCNDATA\0", u32 version, u32 features, u64 rows, u64 metadata bytes, zeros up to 64
//   64  ids, u32 [rows, features]; labels, f32 [rows]
//   …   metadata: JSON (source key, name, fingerprint, noise floor, vocabularies)
//   …   XXH3-128 of all before, 32 hex digits
#pragma once

#include <filesystem>
#include <string_view>

#include "common/status.h"
#include "worker/data/dataset.h"

namespace dcn::data {

/// Writes `path` atomically. source_key: what the data was made from; valid UTF-8.
/// Errors: as AtomicFile.
Status WriteEncodedFile(const std::filesystem::path& path, std::string_view source_key,
                        const Dataset& dataset);

/// Maps `path`; the Dataset keeps it mapped. Every size is checked before it is used, then the
/// checksum, then that every id is a row of its table.
/// kNotFound: there is no such file. kDataLoss: it is damaged, of another version or made from
/// another source; the message says which. Others: as MappedFile::Open.
Result<Dataset> ReadEncodedFile(const std::filesystem::path& path, std::string_view source_key);

}  // namespace dcn::data
