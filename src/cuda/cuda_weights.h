// A model's weights in device memory: one arena, filled once from the mapped file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/thread_pool.h"
#include "cuda/arena.h"
#include "kernels/cuda/weight_format.h"
#include "model/model_file.h"

namespace prefold::cuda {

// Matrices that multiply the same rows (q, k, v; gate, up) and have one format lie in device memory
// as one: the first has the outputs of all, and those merged into it have none (n_out 0).
struct CudaLayerWeights {
  const float* attention_norm = nullptr;
  DeviceLinear q, k, v, o;
  const float *q_norm = nullptr, *k_norm = nullptr;
  const float* attention_post_norm = nullptr;
  const float* ffn_norm = nullptr;
  DeviceLinear gate, up, down;
  const float* ffn_post_norm = nullptr;
};

struct CudaWeights {
  DeviceMatrix token_embedding;
  std::vector<CudaLayerWeights> layers;
  const float* final_norm = nullptr;
  DeviceLinear output;  // the LM head; token_embedding's memory if the embeddings are tied
};

// The weights as they will lie in device memory: shapes without addresses, and the arena's bytes.
struct WeightPlan {
  CudaWeights shapes;
  size_t n_bytes = 0;
};

// For activations of this type, before anything is read. Throws Error if the kernels cannot take
// the shape of one of the matrices.
WeightPlan plan_weights(const ModelFile& model, FloatType activations);

// Packs every tensor and copies it to `arena`, which has room for WeightPlan::n_bytes; source pages
// are dropped as they are done with. Returns when the device has all of it.
CudaWeights upload_weights(const ModelFile& model, FloatType activations, ThreadPool& pool,
                           DeviceArena& arena);

// The matrices that products are made with, those of the layers and the LM head.
std::vector<const DeviceLinear*> linears_of(const CudaWeights& weights);

}  // namespace prefold::cuda
