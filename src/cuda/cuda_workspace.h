// Every buffer in device memory that a step needs besides weights, KV cache, tables and sampling:
// allocated once, for the most rows a step may have (I3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cuda/arena.h"
#include "cuda/attention_plan.h"
#include "cuda/linear.h"
#include "kernels/cuda/expert_routes.h"
#include "model/config.h"

namespace prefold::cuda {

// What decides the sizes.
struct WorkspaceShape {
  FloatType type = FloatType::kF16;  // of activations
  int32_t max_rows = 0;              // of a step
  int32_t max_logit_rows = 0;        // rows of logits at a time
  int32_t n_positions = 0;           // of the rotary tables
  int32_t allowed_len = 0;           // by which these are scaled (model/rope.h)
  int32_t n_partial_rows = 0;        // AttentionLimits
  int32_t max_lora_rank = 0;         // CudaAdapters
  int32_t max_reordered = 0;         // CudaWeights
  size_t linear_scratch_bytes = 0;
  size_t cublas_workspace_bytes = 0;
};

// A view of rows of activations: `type` values, rows `stride` elements apart.
struct CudaRows {
  void* data = nullptr;
  FloatType type = FloatType::kF16;
  int32_t n_rows = 0;
  int32_t n_cols = 0;
  int64_t stride = 0;
};

// The rows of one step (forward_pass.h). q, k and v are columns of one buffer, and so are gate and
// up, so that one product can write them all. `branch` is in f32, like the stream it is added to.
struct CudaActivations {
  CudaRows hidden, normed, q, k, v, attended, gate, up, branch;
};

// Cosines and sines of one of the model's ropes, (n_positions, rotary_dim / 2) each.
struct CudaRope {
  float *cos = nullptr, *sin = nullptr;
};

// Of layers with experts: kernels/cuda/expert_routes.h.
struct CudaMoeBuffers {
  float* router_logits = nullptr;  // (max_rows, router_stride)
  int64_t router_stride = 0;
  int32_t *experts = nullptr, *entries = nullptr, *rows = nullptr;  // max_rows * n_used each
  float* weights = nullptr;
  int32_t *counts = nullptr, *n_tiles = nullptr;
  ExpertTile* tiles = nullptr;
  std::byte* out = nullptr;  // (max_rows * n_used, hidden_size)
};

struct CudaWorkspace {
  float* hidden = nullptr;  // the residual stream
  float* branch = nullptr;  // null: the model has no use for it
  std::byte *normed = nullptr, *qkv = nullptr, *attended = nullptr, *gate_up = nullptr;
  std::byte* reordered = nullptr;  // a product's inputs in another order (CudaLinear)
  float* logits = nullptr;         // (max_logit_rows, logits_stride)
  int64_t logits_stride = 0;
  std::vector<CudaRope> ropes;
  CudaMoeBuffers moe;
  float* lora_shrunk = nullptr;  // kernels/cuda/lora.h; null without adapters
  float *partial_acc = nullptr, *partial_max_sum = nullptr;  // kernels/cuda/attention.h
  std::span<std::byte> linear_scratch, cublas_workspace;
};

size_t workspace_bytes(const WorkspaceShape& shape, const ModelConfig& config);

// The arena has room for workspace_bytes. The rotary tables are filled in; `attended` is zeroed.
CudaWorkspace allocate_workspace(const WorkspaceShape& shape, const ModelConfig& config,
                                 DeviceArena& arena);

CudaActivations activations_of(const CudaWorkspace& workspace, FloatType type,
                               const ModelConfig& config, int32_t n_rows);

constexpr size_t bytes_of(FloatType type) { return type == FloatType::kF32 ? 4 : 2; }

}  // namespace prefold::cuda
