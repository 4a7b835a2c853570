#include "worker/checkpoint/dense_file.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "ps/snapshot_file.h"

namespace dcn::checkpoint {
namespace {

// The state's columns, as far as the optimizer has them, in the order of ps::StateNames.
std::vector<std::vector<float>*> Columns(train::DenseState& state, std::size_t states) {
  std::vector<std::vector<float>*> columns = {&state.parameters};
  if (states >= 1) columns.push_back(&state.first_moments);
  if (states >= 2) columns.push_back(&state.second_moments);
  return columns;
}

// "cross/0/kernel", "cross/0/kernel/m", … by column.
std::vector<std::string> ColumnNames(const std::string& tensor,
                                     const ps::OptimizerOptions& optimizer) {
  std::vector<std::string> names = {tensor};
  for (const std::string_view state : ps::StateNames(optimizer)) {
    names.push_back(fmt::format("{}/{}", tensor, state));
  }
  return names;
}

}  // namespace

Result<TensorFileRecord> WriteDenseFile(const std::filesystem::path& path,
                                        const model::ModelSpec& spec,
                                        const ps::OptimizerOptions& optimizer,
                                        const DensePart& part) {
  std::vector<TensorInfo> tensors = {{"losses", Dtype::kF64, {part.losses.size()}},
                                     {"step_sizes", Dtype::kF32, {part.step_sizes.size()}}};
  std::vector<std::span<const float>> values;
  train::DenseState state = part.state;
  const auto columns = Columns(state, ps::StateNames(optimizer).size());
  for (const model::DenseParameter& tensor : spec.DenseParameters()) {
    const std::vector<std::string> names = ColumnNames(tensor.name, optimizer);
    for (std::size_t c = 0; c < names.size(); ++c) {
      tensors.push_back({names[c], Dtype::kF32, tensor.shape});
      values.push_back(std::span<const float>(*columns[c]).subspan(tensor.offset, tensor.size));
    }
  }
  DCN_ASSIGN_OR_RETURN(TensorFileWriter file,
                       TensorFileWriter::Create(path, tensors, {{"format", "dcn-dense-1"}}));
  DCN_RETURN_IF_ERROR(file.Append(0, part.losses));
  DCN_RETURN_IF_ERROR(file.Append(1, part.step_sizes));
  for (std::size_t i = 0; i < values.size(); ++i) {
    DCN_RETURN_IF_ERROR(file.Append(2 + i, std::as_bytes(values[i])));
  }
  return file.Commit();
}

Result<DensePart> ReadDenseFile(const SafetensorsFile& file, const model::ModelSpec& spec,
                                const ps::OptimizerOptions& optimizer, ps::Step step) {
  DensePart part;
  DCN_ASSIGN_OR_RETURN(const auto losses, file.Values<double>("losses"));
  DCN_ASSIGN_OR_RETURN(const auto step_sizes, file.Values<float>("step_sizes"));
  if (losses.size() != step || step_sizes.size() != step) {
    return Error(StatusCode::kDataLoss, "{}: {} losses and {} rates for {} steps", "the dense part",
                 losses.size(), step_sizes.size(), step);
  }
  part.losses.assign(losses.begin(), losses.end());
  part.step_sizes.assign(step_sizes.begin(), step_sizes.end());
  const auto columns = Columns(part.state, ps::StateNames(optimizer).size());
  for (std::vector<float>* column : columns) column->resize(spec.dense_size());
  for (const model::DenseParameter& tensor : spec.DenseParameters()) {
    const std::vector<std::string> names = ColumnNames(tensor.name, optimizer);
    for (std::size_t c = 0; c < names.size(); ++c) {
      DCN_ASSIGN_OR_RETURN(const auto values, file.Values<float>(names[c]));
      if (values.size() != tensor.size) {
        return Error(StatusCode::kDataLoss, "{}: {} has {} values, expected {}", "the dense part",
                     names[c], values.size(), tensor.size);
      }
      std::ranges::copy(values, columns[c]->begin() + static_cast<std::ptrdiff_t>(tensor.offset));
    }
  }
  return part;
}

}  // namespace dcn::checkpoint
