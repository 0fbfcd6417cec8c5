#include "cuda/cuda_workspace.h"

#include <cuda_runtime_api.h>

#include <algorithm>

#include "cuda/error.h"
#include "kernels/cuda/expert_gemm.h"
#include "kernels/cuda/lora.h"
#include "model/rope.h"

namespace prefold::cuda {
namespace {

// Rows of logits have the outputs that the LM head was rounded up by; sampling leaves them out.
constexpr int64_t kLogitsAlignment = kWeightUnitOutputs;

// Adds sizes up.
struct CountBytes {
  size_t n_bytes = 0;

  template <class T>
  T* take(size_t n) {
    n_bytes += arena_bytes(n * sizeof(T));
    return nullptr;
  }
};

// Whether some block's output is not added to the residual stream by its product.
bool has_branch(const ModelConfig& config) {
  return config.has_post_norm || config.moe.n_experts > 0;
}

// Outputs of the router, and of the shared expert's gate, up to a multiple of what a product takes.
int64_t router_outputs(const MoeConfig& moe) {
  const int32_t n_out = moe.n_experts + (moe.has_shared_gate ? 1 : 0);
  return (n_out + kWeightUnitOutputs - 1) / kWeightUnitOutputs * kWeightUnitOutputs;
}

template <class Arena>
CudaMoeBuffers lay_out_moe(const WorkspaceShape& shape, const ModelConfig& config, Arena& arena) {
  const MoeConfig& moe = config.moe;
  const size_t n_entries = size_t(shape.max_rows) * moe.n_used;
  const auto ints = [&](size_t n) { return arena.template take<int32_t>(n); };
  CudaMoeBuffers w;
  w.router_stride = router_outputs(moe);
  w.router_logits = arena.template take<float>(shape.max_rows * w.router_stride);
  w.experts = ints(n_entries);
  w.entries = ints(n_entries);
  w.rows = ints(n_entries);
  w.weights = arena.template take<float>(n_entries);
  w.counts = ints(moe.n_experts);
  w.n_tiles = ints(1);
  w.tiles = arena.template take<ExpertTile>(most_expert_tiles(
      shape.max_rows, moe.n_used, moe.n_experts, expert_tile_rows(GemmTile::k16x64)));
  w.out = arena.template take<std::byte>(n_entries * config.hidden_size * bytes_of(shape.type));
  return w;
}

// Columns of gate and up together that a row needs in some layer, those of its experts as one.
size_t gate_up_columns(const ModelConfig& config) {
  const MoeConfig& moe = config.moe;
  return 2 * std::max({size_t(config.ffn_size), size_t(moe.n_used) * moe.ffn_size,
                       size_t(moe.shared_ffn_size)});
}

// The one place that knows what a workspace consists of.
template <class Arena>
CudaWorkspace lay_out(const WorkspaceShape& shape, const ModelConfig& config, Arena& arena) {
  const size_t n_rows = shape.max_rows;
  const size_t value_bytes = bytes_of(shape.type);
  const auto rows_of = [&](size_t n_cols) {
    return arena.template take<std::byte>(n_rows * n_cols * value_bytes);
  };
  const size_t n_partial_heads = size_t(shape.n_partial_rows) * config.n_heads;
  CudaWorkspace w;
  w.hidden = arena.template take<float>(n_rows * config.hidden_size);
  w.normed = rows_of(config.hidden_size);
  w.qkv = rows_of(size_t(config.n_heads + 2 * config.n_kv_heads) * config.head_dim);
  w.attended = rows_of(size_t(config.n_heads) * config.head_dim);
  w.gate_up = rows_of(gate_up_columns(config));
  w.reordered = rows_of(shape.max_reordered);
  if (has_branch(config)) w.branch = arena.template take<float>(n_rows * config.hidden_size);
  if (config.moe.n_experts > 0) w.moe = lay_out_moe(shape, config, arena);
  w.logits_stride =
      (config.vocab_size + kLogitsAlignment - 1) / kLogitsAlignment * kLogitsAlignment;
  w.logits = arena.template take<float>(shape.max_logit_rows * w.logits_stride);
  for (const RopeConfig& rope : config.ropes) {
    const size_t n_values = size_t(shape.n_positions) * (rope.rotary_dim / 2);
    w.ropes.push_back({arena.template take<float>(n_values), arena.template take<float>(n_values)});
  }
  if (shape.max_lora_rank > 0) {
    w.lora_shrunk =
        arena.template take<float>(n_rows * kMaxLoraDeviceParts * size_t(shape.max_lora_rank));
  }
  w.partial_acc = arena.template take<float>(n_partial_heads * config.head_dim);
  w.partial_max_sum = arena.template take<float>(n_partial_heads * 2);
  const auto bytes = [&](size_t n) { return std::span(arena.template take<std::byte>(n), n); };
  w.linear_scratch = bytes(shape.linear_scratch_bytes);
  w.cublas_workspace = bytes(shape.cublas_workspace_bytes);
  return w;
}

}  // namespace

size_t workspace_bytes(const WorkspaceShape& shape, const ModelConfig& config) {
  CountBytes count;
  lay_out(shape, config, count);
  return count.n_bytes;
}

CudaWorkspace allocate_workspace(const WorkspaceShape& shape, const ModelConfig& config,
                                 DeviceArena& arena) {
  const CudaWorkspace workspace = lay_out(shape, config, arena);
  const std::vector<RopeTable> tables =
      make_rope_tables(config, shape.n_positions, shape.allowed_len);
  const auto copy = [](const std::vector<float>& from, float* to) {
    check_cuda("copy of the rotary table",
               cudaMemcpy(to, from.data(), from.size() * sizeof(float), cudaMemcpyHostToDevice));
  };
  for (size_t i = 0; i < tables.size(); ++i) {
    copy(tables[i].cos, workspace.ropes[i].cos);
    copy(tables[i].sin, workspace.ropes[i].sin);
  }
  // Rows of padding attend to nothing: they have what was there before, which must be numbers.
  const size_t n_attended = size_t(shape.max_rows) * config.n_heads * config.head_dim;
  check_cuda("zeroing of activations",
             cudaMemset(workspace.attended, 0, n_attended * bytes_of(shape.type)));
  return workspace;
}

CudaActivations activations_of(const CudaWorkspace& w, FloatType type, const ModelConfig& config,
                               int32_t n_rows) {
  const int32_t q_cols = config.n_heads * config.head_dim;
  const int32_t kv_cols = config.n_kv_heads * config.head_dim;
  const auto columns = [&](std::byte* rows, int64_t stride, int32_t first, int32_t n_cols) {
    return CudaRows{rows + first * bytes_of(type), type, n_rows, n_cols, stride};
  };
  const int64_t qkv_stride = q_cols + 2 * kv_cols;
  const int64_t gate_stride = 2 * int64_t{config.ffn_size};
  CudaActivations act;
  act.hidden = {w.hidden, FloatType::kF32, n_rows, config.hidden_size, config.hidden_size};
  act.normed = columns(w.normed, config.hidden_size, 0, config.hidden_size);
  act.q = columns(w.qkv, qkv_stride, 0, q_cols);
  act.k = columns(w.qkv, qkv_stride, q_cols, kv_cols);
  act.v = columns(w.qkv, qkv_stride, q_cols + kv_cols, kv_cols);
  act.attended = columns(w.attended, q_cols, 0, q_cols);
  act.gate = columns(w.gate_up, gate_stride, 0, config.ffn_size);
  act.up = columns(w.gate_up, gate_stride, config.ffn_size, config.ffn_size);
  act.branch = {w.branch, FloatType::kF32, n_rows, config.hidden_size, config.hidden_size};
  return act;
}

}  // namespace prefold::cuda
