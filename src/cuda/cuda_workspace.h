// Every buffer in device memory that a step needs besides weights, KV cache, tables and sampling:
// allocated once, for the most rows a step may have (I3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "cuda/arena.h"
#include "cuda/attention_plan.h"
#include "cuda/linear.h"
#include "model/config.h"

namespace prefold::cuda {

// What decides the sizes.
struct WorkspaceShape {
  FloatType type = FloatType::kF16;  // of activations
  int32_t max_rows = 0;              // of a step
  int32_t max_logit_rows = 0;        // rows of logits at a time
  int32_t n_positions = 0;           // of the rotary table
  int32_t n_partial_rows = 0;        // AttentionLimits
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

// The rows of one step (forward_pass.h); no model that the engine takes has a `branch`. q, k and v
// are columns of one buffer, and so are gate and up, so that one product can write them all.
struct CudaActivations {
  CudaRows hidden, normed, q, k, v, attended, gate, up, branch;
};

struct CudaWorkspace {
  float* hidden = nullptr;  // the residual stream
  std::byte *normed = nullptr, *qkv = nullptr, *attended = nullptr, *gate_up = nullptr;
  float* logits = nullptr;  // (max_logit_rows, logits_stride)
  int64_t logits_stride = 0;
  float *rope_cos = nullptr, *rope_sin = nullptr;            // (n_positions, rotary_dim / 2)
  float *partial_acc = nullptr, *partial_max_sum = nullptr;  // kernels/cuda/attention.h
  std::span<std::byte> linear_scratch, cublas_workspace;
};

size_t workspace_bytes(const WorkspaceShape& shape, const ModelConfig& config);

// The arena has room for workspace_bytes. The rotary table is filled in; `attended` is zeroed.
CudaWorkspace allocate_workspace(const WorkspaceShape& shape, const ModelConfig& config,
                                 DeviceArena& arena);

CudaActivations activations_of(const CudaWorkspace& workspace, FloatType type,
                               const ModelConfig& config, int32_t n_rows);

constexpr size_t bytes_of(FloatType type) { return type == FloatType::kF32 ? 4 : 2; }

}  // namespace prefold::cuda
