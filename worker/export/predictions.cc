#include "worker/export/predictions.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "common/check.h"
#include "common/file/atomic_write.h"

namespace dcn::output {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;

/// A field as CSV wants it: in quotes only where it needs them.
std::string Quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

/// The text for each row of the feature's table; empty for row 0, out of vocabulary.
std::vector<std::string> FieldsByRow(const data::Vocabulary& vocabulary) {
  std::vector<std::string> fields(1);
  fields.reserve(vocabulary.table_rows());
  for (const std::string& value : vocabulary.values) fields.push_back(Quoted(value));
  return fields;
}

void AppendFloat(float value, std::string& out) {
  char text[32];  // the longest shortest form of a float32 has 15 characters
  const auto [end, error] = std::to_chars(text, text + sizeof(text), value);
  DCN_CHECK(error == std::errc());
  out.append(text, end);
}

}  // namespace

Status WritePredictions(const std::filesystem::path& path, const data::Dataset& dataset,
                        std::span<const std::uint32_t> test_rows,
                        std::span<const float> predictions) {
  DCN_CHECK_EQ(test_rows.size(), predictions.size());
  DCN_CHECK_GT(dataset.feature_count(), std::max(data::kUserFeature, data::kMovieFeature));
  const auto users = FieldsByRow(dataset.vocabularies()[data::kUserFeature]);
  const auto movies = FieldsByRow(dataset.vocabularies()[data::kMovieFeature]);
  DCN_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  std::string buffer = "user_id,movie_id,rating,prediction\n";
  for (std::size_t i = 0; i < test_rows.size(); ++i) {
    const auto ids = dataset.ids(test_rows[i]);
    buffer += users.at(ids[data::kUserFeature]);
    buffer += ',';
    buffer += movies.at(ids[data::kMovieFeature]);
    buffer += ',';
    AppendFloat(dataset.labels()[test_rows[i]], buffer);
    buffer += ',';
    AppendFloat(predictions[i], buffer);
    buffer += '\n';
    if (buffer.size() >= kBufferBytes) {
      DCN_RETURN_IF_ERROR(file.Append(buffer));
      buffer.clear();
    }
  }
  DCN_RETURN_IF_ERROR(file.Append(buffer));
  return file.Commit();
}

}  // namespace dcn::output
