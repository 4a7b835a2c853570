// The manifest of a checkpoint: what it is of, and what each of its files must look like.
//
// Written last: a checkpoint without one is none. Its text is canonical and has a checksum of
// itself, so that any byte that changed shows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/file/checked_tensors.h"
#include "common/status.h"
#include "ps/protocol.h"
#include "worker/train/trainer.h"

namespace dcn::checkpoint {

inline constexpr const char* kManifestFile = "manifest.json";
inline constexpr const char* kDenseFile = "dense.safetensors";

struct Manifest {
  ps::Step step = 0;
  std::uint64_t epoch = 0;       // of the job that wrote it
  nlohmann::json configuration;  // as in result.json: what decides the answer
  std::string engine;            // in words: library, version, instruction set
  std::string version;           // of this program
  std::uint32_t shards = 1;      // that the rows were spread over, by ps/partition.h
  std::uint32_t buckets = 0;     // virtual buckets of that partition
  train::Training training;      // without the losses, which stand in the dense file
  std::map<std::string, TensorFileRecord> files;  // by name
};

[[nodiscard]] std::string ToText(const Manifest& manifest);

/// kDataLoss: the file and what is wrong there, if only a byte that should be another. What is read
/// names `shards` + 1 files.
[[nodiscard]] Result<Manifest> ParseManifest(std::string_view text, const std::string& file);

/// The manifest of the checkpoint in `folder`. kNotFound: there is none. kDataLoss: it is damaged,
/// or its disk cannot give it. Other codes: it cannot be read now (ReadFile).
[[nodiscard]] Result<Manifest> ReadManifest(const std::filesystem::path& folder);

}  // namespace dcn::checkpoint
