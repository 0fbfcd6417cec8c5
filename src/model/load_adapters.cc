#include "model/load_adapters.h"

#include <algorithm>

namespace prefold {
namespace {

Linear pack(const std::vector<float>& values, int32_t n_out, int32_t n_in, ThreadPool& pool) {
  return {PackedMatrix(TensorType::kF32, std::as_bytes(std::span(values)), n_out, n_in, pool), {}};
}

}  // namespace

Adapters load_adapters(const ModelFile& model, ThreadPool& pool) {
  Adapters adapters;
  adapters.n = static_cast<int32_t>(model.adapters.size());
  if (adapters.n == 0) return adapters;
  adapters.layers.resize(static_cast<size_t>(model.config.n_layers));
  for (size_t i = 0; i < model.adapters.size(); ++i) {
    for (const LoraMatrix& matrix : model.adapters[i].matrices) {
      const LoraShape shape = lora_shape(model.config, matrix.layer, matrix.site);
      const LoraValues values = read_lora(model.adapters[i], matrix, model.config, pool);
      AdaptedMatrix& adapted =
          adapters.layers[static_cast<size_t>(matrix.layer)][static_cast<size_t>(matrix.site)];
      adapted.a.resize(model.adapters.size() + 1);
      adapted.b.resize(model.adapters.size() + 1);
      adapted.a[i + 1] = pack(values.a, matrix.rank, shape.n_in, pool);
      adapted.b[i + 1] = pack(values.b, shape.n_out, matrix.rank, pool);
      adapters.max_rank = std::max(adapters.max_rank, matrix.rank);
    }
  }
  return adapters;
}

size_t Adapters::bytes() const {
  size_t total = 0;
  for (const auto& sites : layers) {
    for (const AdaptedMatrix& matrix : sites) {
      for (const Linear& linear : matrix.a) total += linear.weight.bytes();
      for (const Linear& linear : matrix.b) total += linear.weight.bytes();
    }
  }
  return total;
}

}  // namespace prefold
