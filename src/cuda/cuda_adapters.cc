#include "cuda/cuda_adapters.h"

#include <algorithm>

#include "cuda/error.h"

namespace prefold::cuda {
namespace {

int32_t padded_rank(int32_t rank) {
  return (rank + kLoraRankUnit - 1) / kLoraRankUnit * kLoraRankUnit;
}

size_t n_matrices(const ModelFile& model) {
  return static_cast<size_t>(model.config.n_layers) * kLoraSites * model.adapters.size();
}

size_t place_of(const LoraMatrix& matrix) {
  return static_cast<size_t>(matrix.layer) * kLoraSites + static_cast<size_t>(matrix.site);
}

const float* copy(const std::vector<float>& values, DeviceArena& arena) {
  float* const device = arena.take<float>(values.size());
  check_cuda(
      "copy of an adapter to the device",
      cudaMemcpy(device, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice));
  return device;
}

// (n_out, rank) as (padded rank, n_out), zeros behind.
std::vector<float> transposed(const std::vector<float>& b, int32_t n_out, int32_t rank) {
  std::vector<float> out(static_cast<size_t>(padded_rank(rank)) * static_cast<size_t>(n_out));
  for (size_t row = 0; row < static_cast<size_t>(n_out); ++row) {
    for (size_t r = 0; r < static_cast<size_t>(rank); ++r) {
      out[r * static_cast<size_t>(n_out) + row] = b[row * static_cast<size_t>(rank) + r];
    }
  }
  return out;
}

}  // namespace

CudaAdapters plan_adapters(const ModelFile& model) {
  CudaAdapters adapters;
  adapters.n = static_cast<int32_t>(model.adapters.size());
  if (adapters.n == 0) return adapters;
  adapters.is_changed.resize(static_cast<size_t>(model.config.n_layers) * kLoraSites);
  for (const LoraFile& file : model.adapters) {
    for (const LoraMatrix& matrix : file.matrices) {
      adapters.max_rank = std::max(adapters.max_rank, padded_rank(matrix.rank));
      adapters.is_changed[place_of(matrix)] = true;
    }
  }
  return adapters;
}

size_t adapter_bytes(const ModelFile& model) {
  size_t n_bytes = 0;
  for (const LoraFile& file : model.adapters) {
    for (const LoraMatrix& matrix : file.matrices) {
      const LoraShape shape = lora_shape(model.config, matrix.layer, matrix.site);
      const size_t rank = static_cast<size_t>(padded_rank(matrix.rank));
      n_bytes += arena_bytes(rank * static_cast<size_t>(shape.n_in) * sizeof(float)) +
                 arena_bytes(rank * static_cast<size_t>(shape.n_out) * sizeof(float));
    }
  }
  return n_bytes + arena_bytes(n_matrices(model) * sizeof(LoraDeviceMatrix));
}

CudaAdapters upload_adapters(const ModelFile& model, ThreadPool& pool, DeviceArena& arena) {
  CudaAdapters adapters = plan_adapters(model);
  if (adapters.n == 0) return adapters;
  std::vector<LoraDeviceMatrix> matrices(n_matrices(model));
  for (size_t i = 0; i < model.adapters.size(); ++i) {
    for (const LoraMatrix& matrix : model.adapters[i].matrices) {
      const LoraShape shape = lora_shape(model.config, matrix.layer, matrix.site);
      LoraValues values = read_lora(model.adapters[i], matrix, model.config, pool);
      const int32_t rank = padded_rank(matrix.rank);
      values.a.resize(static_cast<size_t>(rank) * static_cast<size_t>(shape.n_in));
      matrices[place_of(matrix) * model.adapters.size() + i] = {
          copy(values.a, arena), copy(transposed(values.b, shape.n_out, matrix.rank), arena), rank};
    }
  }
  LoraDeviceMatrix* const table = arena.take<LoraDeviceMatrix>(matrices.size());
  check_cuda("copy of the adapters' table",
             cudaMemcpy(table, matrices.data(), matrices.size() * sizeof(LoraDeviceMatrix),
                        cudaMemcpyHostToDevice));
  adapters.matrices = table;
  return adapters;
}

}  // namespace prefold::cuda
