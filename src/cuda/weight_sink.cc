#include "cuda/weight_sink.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/error.h"
#include "cuda/error.h"
#include "kernels/reference/dequantize.h"

namespace prefold::cuda {
namespace {

int32_t n_rows(const StoredTensor& tensor) { return static_cast<int32_t>(tensor.shape.at(0)); }
int32_t n_cols(const StoredTensor& tensor) { return static_cast<int32_t>(tensor.shape.at(1)); }

int32_t n_outputs(WeightSink::Tensors tensors) {
  int32_t n_out = 0;
  for (const StoredTensor* tensor : tensors) n_out += n_rows(*tensor);
  return n_out;
}

// The stored bytes of some matrices, valid as long as this is.
struct ReadMatrices {
  ReadMatrices(const ModelFile& model, WeightSink::Tensors tensors) {
    bytes.reserve(tensors.size());
    for (const StoredTensor* tensor : tensors) {
      bytes.push_back(read_tensor(model, *tensor));
      parts.push_back({tensor->type, bytes.back().bytes, n_rows(*tensor)});
    }
  }

  std::vector<TensorBytes> bytes;
  std::vector<StoredMatrix> parts;
};

void append_floats(const ModelFile& model, const StoredTensor& tensor, std::vector<float>& values) {
  const TensorBytes stored = read_tensor(model, tensor);
  const size_t first = values.size();
  values.resize(first + static_cast<size_t>(n_elements(tensor)));
  reference::dequantize(tensor.type, stored.bytes, std::span(values).subspan(first));
  drop_tensor(model, tensor);
}

DeviceMatrix shape_of(const MatrixLayout& layout) {
  return {layout.format, layout.type, layout.n_out, layout.n_in, nullptr, nullptr};
}

void copy(std::span<const std::byte> from, std::byte* to) {
  check_cuda("copy of weights to the device",
             cudaMemcpy(to, from.data(), from.size(), cudaMemcpyHostToDevice));
}

}  // namespace

std::byte* WeightSink::take(size_t n_bytes) {
  n_bytes_ += arena_bytes(n_bytes);
  return arena_ == nullptr ? nullptr : arena_->take<std::byte>(n_bytes);
}

void WeightSink::pack(const MatrixLayout& layout, std::span<const StoredMatrix> parts,
                      std::byte* place) {
  staging_.resize(std::max(staging_.size(), layout.n_bytes));
  const std::span<std::byte> packed = std::span(staging_).first(layout.n_bytes);
  pack_matrix(layout, parts, packed, *pool_);
  copy(packed, place);
}

DeviceMatrix WeightSink::matrix(const ModelFile& model, Tensors tensors) {
  const MatrixLayout layout = matrix_layout(tensors.front()->type, activations_, n_outputs(tensors),
                                            n_cols(*tensors.front()));
  std::byte* place = take(layout.n_bytes);
  if (place == nullptr) return shape_of(layout);
  pack(layout, ReadMatrices(model, tensors).parts, place);
  for (const StoredTensor* tensor : tensors) drop_tensor(model, *tensor);
  return device_matrix(layout, place);
}

DeviceExperts WeightSink::experts(
    const ModelFile& model, std::span<const std::vector<const StoredTensor*>> tensors_of_experts) {
  const std::vector<const StoredTensor*>& first = tensors_of_experts.front();
  const MatrixLayout layout =
      matrix_layout(first.front()->type, activations_, n_outputs(first), n_cols(*first.front()));
  for (const std::vector<const StoredTensor*>& tensors : tensors_of_experts) {
    for (const StoredTensor* tensor : tensors) {
      if (weight_format(tensor->type, activations_) == layout.format) continue;
      throw Error(
          fmt::format("{}: {} is {}, {} is {}; on CUDA all experts of a layer must have "
                      "one format",
                      model.path, tensor->name, traits_of(tensor->type).name, first.front()->name,
                      traits_of(first.front()->type).name));
    }
  }
  std::byte* place = take(layout.n_bytes * tensors_of_experts.size());
  if (place == nullptr) return {shape_of(layout), layout.n_bytes};
  const DeviceExperts experts{device_matrix(layout, place), layout.n_bytes};
  for (const std::vector<const StoredTensor*>& tensors : tensors_of_experts) {
    pack(layout, ReadMatrices(model, tensors).parts, place);
    for (const StoredTensor* tensor : tensors) drop_tensor(model, *tensor);
    place += layout.n_bytes;
  }
  return experts;
}

DeviceMatrix WeightSink::dense_matrix(const ModelFile& model, Tensors tensors) {
  const int32_t n_in = n_cols(*tensors.front());
  const int32_t n_out =
      (n_outputs(tensors) + kWeightUnitOutputs - 1) / kWeightUnitOutputs * kWeightUnitOutputs;
  const MatrixLayout layout = matrix_layout(TensorType::kF32, activations_, n_out, n_in);
  std::byte* place = take(layout.n_bytes);
  if (place == nullptr) return shape_of(layout);
  std::vector<float> values;
  for (const StoredTensor* tensor : tensors) append_floats(model, *tensor, values);
  values.resize(static_cast<size_t>(n_out) * static_cast<size_t>(n_in), 0.0f);
  const StoredMatrix part{TensorType::kF32, std::as_bytes(std::span(values)), n_out};
  pack(layout, std::span(&part, 1), place);
  return device_matrix(layout, place);
}

const float* WeightSink::vector(const ModelFile& model, Tensors tensors) {
  size_t n_values = 0;
  for (const StoredTensor* tensor : tensors) n_values += n_elements(*tensor);
  n_values = (n_values + kWeightUnitOutputs - 1) / kWeightUnitOutputs * kWeightUnitOutputs;
  std::byte* place = take(n_values * sizeof(float));
  if (place == nullptr) return nullptr;
  std::vector<float> values;
  for (const StoredTensor* tensor : tensors) {
    const std::vector<float> part = read_floats(model, *tensor);
    values.insert(values.end(), part.begin(), part.end());
    drop_tensor(model, *tensor);
  }
  values.resize(n_values, 0.0f);
  copy(std::as_bytes(std::span(values)), place);
  return reinterpret_cast<const float*>(place);
}

const int32_t* WeightSink::input_order(const InputOrder& order) {
  if (order == nullptr) return nullptr;
  std::byte* place = take(order->size() * sizeof(int32_t));
  if (place == nullptr) return nullptr;
  copy(std::as_bytes(std::span(*order)), place);
  return reinterpret_cast<const int32_t*>(place);
}

const float* WeightSink::floats(const ModelFile& model, const StoredTensor& tensor) {
  std::byte* place = take(static_cast<size_t>(n_elements(tensor)) * sizeof(float));
  if (place == nullptr) return nullptr;
  std::vector<float> values;
  append_floats(model, tensor, values);
  copy(std::as_bytes(std::span(values)), place);
  return reinterpret_cast<const float*>(place);
}

}  // namespace prefold::cuda
