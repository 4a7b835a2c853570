// The trained model as files that any other program can read: model.safetensors, with the tensors
// under their names, and vocabulary.json, which says what the rows of the tables stand for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "common/file/safetensors.h"
#include "common/status.h"
#include "worker/data/dataset.h"

namespace dcn::output {

inline constexpr std::string_view kModelFile = "model.safetensors";
inline constexpr std::string_view kVocabularyFile = "vocabulary.json";

/// XXH3-128 (hex) over the values of all tensors as little-endian float32, in the given order:
/// `embedding/<feature>` in feature order, then cross/…, deep/…, logit/… in model order. The same
/// trained model has the same digest, however many processes trained it.
std::string ParameterDigest(std::span<const TensorView> tensors);

/// Writes model.safetensors and vocabulary.json to `folder`, each atomically.
/// tensors: in the order of ParameterDigest; `embedding/<feature>` [rows, dimension] with row 0 for
/// what is out of vocabulary, kernels [in, out], biases [out]. The metadata hold format ("dcn"),
/// format_version, model and seed.
/// Errors of WriteSafetensors and WriteFileAtomically.
Status WriteModel(const std::filesystem::path& folder, std::string_view model, std::uint64_t seed,
                  std::span<const TensorView> tensors,
                  std::span<const data::Vocabulary> vocabularies);

/// The text of vocabulary.json: {"<feature>": [value, …], …} in feature order; value i belongs to
/// row i + 1. Integer features as numbers; others as text, read as Latin-1 (MovieLens' encoding)
/// and written as UTF-8.
std::string VocabularyJson(std::span<const data::Vocabulary> vocabularies);

}  // namespace dcn::output
