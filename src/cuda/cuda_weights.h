// A model's weights in device memory: one arena, filled once from the model's files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/thread_pool.h"
#include "cuda/arena.h"
#include "cuda/cuda_adapters.h"
#include "kernels/cuda/expert_gemm.h"
#include "kernels/cuda/weight_format.h"
#include "model/model_file.h"

namespace prefold::cuda {

// Weight and bias of a norm; null where it has none.
struct CudaNorm {
  const float *weight = nullptr, *bias = nullptr;
  int32_t n_values = 0;  // of each
};

// A layer's matrix. input_order: weights' column i meets x[input_order[i]], n_in of them; null:
// x[i].
struct CudaLinear : DeviceLinear {
  const int32_t* input_order = nullptr;
};

// The experts of a layer. `router` has a logit for each, behind them the gate of the shared expert
// where it has one, then zeros up to a multiple of 8; it is dense, whatever it was.
struct CudaMoe {
  DeviceMatrix router;
  DeviceExperts gate, up, down;
  CudaLinear shared_gate, shared_up, shared_down;
};

// Matrices that multiply the same rows (q, k, v; gate, up, of experts too), have one format and
// take their inputs in the same order lie in device memory as one: the first has the outputs of
// all, and those merged into it have none (n_out 0). What a layer lacks is empty too.
struct CudaLayerWeights {
  CudaNorm attention_norm;
  CudaLinear q, k, v, o;
  CudaNorm q_norm, k_norm;
  CudaNorm attention_post_norm;
  CudaNorm ffn_norm;
  CudaLinear gate, up, down;
  CudaMoe moe;
  CudaNorm ffn_post_norm;
};

struct CudaWeights {
  DeviceMatrix token_embedding;
  const float* position_embedding = nullptr;  // (context, hidden_size), or null
  std::vector<CudaLayerWeights> layers;
  CudaNorm final_norm;
  DeviceLinear output;  // the LM head; token_embedding's memory if the embeddings are tied
  CudaAdapters adapters;
  int32_t max_reordered = 0;  // the most inputs of a matrix with an input_order; 0: none has one
};

// The weights as they will lie in device memory: shapes without addresses, and the arena's bytes.
struct WeightPlan {
  CudaWeights shapes;
  size_t n_bytes = 0;
};

// For activations of this type, before anything is read. Throws Error if the kernels cannot take
// the shape of one of the matrices.
WeightPlan plan_weights(const ModelFile& model, FloatType activations);

// Packs every tensor, those of adapters too, and copies it to `arena`, which has room for
// WeightPlan::n_bytes; source pages are dropped as they are done with. Returns when the device has
// all of it.
CudaWeights upload_weights(const ModelFile& model, FloatType activations, ThreadPool& pool,
                           DeviceArena& arena);

// The matrices that ordinary products are made with, those of the layers and the LM head; without
// routers and experts.
std::vector<const DeviceLinear*> linears_of(const CudaWeights& weights);

}  // namespace prefold::cuda
