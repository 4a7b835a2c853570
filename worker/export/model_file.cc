#include "worker/export/model_file.h"

#include <charconv>
#include <map>

#include <nlohmann/json.hpp>

#include "common/check.h"
#include "common/digest.h"
#include "common/file/atomic_write.h"

namespace dcn::output {
namespace {

constexpr const char* kFormatVersion = "1";

std::string Latin1ToUtf8(std::string_view text) {
  std::string utf8;
  utf8.reserve(text.size());
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 0x80) {
      utf8 += c;
    } else {
      utf8 += static_cast<char>(0xC0 | (code >> 6));
      utf8 += static_cast<char>(0x80 | (code & 0x3F));
    }
  }
  return utf8;
}

std::int64_t ParseInteger(const data::Vocabulary& vocabulary, const std::string& text) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) {
    throw CheckError(
        fmt::format("vocabulary {} says integers and holds '{}'", vocabulary.feature, text));
  }
  return value;
}

}  // namespace

std::string ParameterDigest(std::span<const TensorView> tensors) {
  Digest128 digest;
  for (const TensorView& tensor : tensors) digest.Update(std::as_bytes(tensor.values));
  return digest.Hex();
}

std::string VocabularyJson(std::span<const data::Vocabulary> vocabularies) {
  nlohmann::ordered_json document = nlohmann::ordered_json::object();
  for (const data::Vocabulary& vocabulary : vocabularies) {
    auto& values = document[vocabulary.feature] = nlohmann::ordered_json::array();
    for (const std::string& text : vocabulary.values) {
      if (vocabulary.is_integer) {
        values.push_back(ParseInteger(vocabulary, text));
      } else {
        values.push_back(Latin1ToUtf8(text));
      }
    }
  }
  return document.dump() + "\n";
}

Status WriteModel(const std::filesystem::path& folder, std::string_view model, std::uint64_t seed,
                  std::span<const TensorView> tensors,
                  std::span<const data::Vocabulary> vocabularies) {
  const std::map<std::string, std::string> metadata = {{"format", "dcn"},
                                                       {"format_version", kFormatVersion},
                                                       {"model", std::string(model)},
                                                       {"seed", std::to_string(seed)}};
  DCN_RETURN_IF_ERROR(WriteSafetensors(folder / kModelFile, tensors, metadata));
  return WriteFileAtomically(folder / kVocabularyFile, VocabularyJson(vocabularies));
}

}  // namespace dcn::output
