// One step on the GPU, as forward_pass.h wants it: each op is a launch on one stream.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "cuda/cuda_step_tables.h"
#include "cuda/cuda_weights.h"
#include "cuda/cuda_workspace.h"
#include "cuda/linear.h"
#include "model/config.h"

namespace prefold::cuda {

// The KV cache: one arena, K and V each (n_layers, n_blocks, n_kv_heads, kKvBlockTokens, head_dim).
struct CudaKvCache {
  FloatType type = FloatType::kF16;
  std::byte *k = nullptr, *v = nullptr;
  int32_t n_blocks = 0;
  size_t layer_bytes = 0;  // of K, and of V
};

// Bytes that one block takes: K and V of all layers.
size_t kv_bytes_per_block(FloatType type, const ModelConfig& config);

// What stays the same from step to step. Owns nothing.
struct CudaContext {
  const ModelConfig& config;
  FloatType type;  // of activations and KV cache
  cudaStream_t stream;
  const CudaWeights& weights;
  const CudaWorkspace& workspace;
  CudaKvCache kv;
  LinearContext linear, output_linear;  // of the layers, of the LM head
  int32_t max_shared_bytes;             // of a block, opted in
  // By layer: which of the step's lists of attention, one for each of attention_windows.
  std::vector<int32_t> window_idx;
};

// The windows of a model's layers, each once; 0 for those that see all of n_positions.
std::vector<int32_t> attention_windows(const ModelConfig& config, int32_t n_positions);
// Which of them is each layer's.
std::vector<int32_t> attention_window_idx(const ModelConfig& config, int32_t n_positions);

// All layers of one step.
class CudaLayers {
 public:
  struct Product {
    const CudaLinear* linear = nullptr;
    CudaRows out;
  };

  // last_tokens: by slot, what it sampled last.
  CudaLayers(const CudaContext& context, const StepTables& tables, const int32_t* last_tokens);

  const CudaActivations& activations() const { return act_; }
  const CudaLayerWeights& layer_weights(int32_t i) const { return context_.weights.layers[i]; }

  void embed(const CudaRows& out);
  void norm(const CudaRows& x, const CudaNorm& weights, const CudaRows& out);
  void copy(const CudaRows& x, const CudaRows& out);
  void add_norm(const CudaRows& x, const CudaNorm& weights, const CudaRows& out);
  // A product merged into the one before it (cuda_weights.h) is done with it: its `out` lies beside
  // that one's.
  void linear(const CudaRows& x, std::initializer_list<Product> products);
  void add_linear(const CudaRows& x, const CudaLinear& w, const CudaRows& out);
  struct Adapted {
    LoraSite site = LoraSite::kQ;
    CudaRows out;
  };
  void add_lora(int32_t layer_idx, const CudaRows& x,
                std::initializer_list<Adapted> adapted);  // cuda_lora.cc
  // q, k and v lie side by side (CudaActivations).
  void clip(const CudaRows& q, const CudaRows& k, const CudaRows& v);
  void qk_norm(const CudaRows& x, const CudaNorm& weights);
  void rope_and_append(int32_t layer_idx, const CudaRows& q, const CudaRows& k, const CudaRows& v);
  // Of a step that may be replayed all rows go on: its launches have a fixed number of them.
  void keep_wanted_rows();
  void attend(int32_t layer_idx, const CudaRows& q, const CudaRows& out);
  void gate(const CudaRows& gate, const CudaRows& up);
  void activate(const CudaRows& x);
  void moe(int32_t layer_idx, const CudaRows& x, const CudaRows& out);  // cuda_experts.cc
  void add_scaled(const CudaRows& x, const CudaRows& out);

 private:
  // x as the matrix takes it: x, or a copy in its order.
  CudaRows inputs_of(const CudaLinear& w, const CudaRows& x);
  // The shared expert's output, into out in f32.
  void shared_expert(const CudaMoe& moe, const CudaRows& x, const CudaRows& out);
  // Columns [first, first + n_cols) of rows of gate and up that have twice `ffn_size` of them.
  CudaRows gate_up_rows(int32_t n_rows, int32_t ffn_size, int32_t first, int32_t n_cols) const;

  const CudaContext& context_;
  const StepTables& tables_;
  bool has_kept_ = false;  // rows are those of tables_.kept
  const int32_t* last_tokens_;
  CudaActivations act_;
};

// The logits of some rows, in f32, into the workspace's.
struct CudaLogits {
  const CudaContext& context;
  const int32_t* rows;  // of the step, on the device

  void norm_of_rows(const CudaRows& x, const CudaRows& out);
  void output(const CudaRows& x);
};

// The step's block copies, before its layers.
void copy_blocks(const CudaContext& context, const StepTables& tables, int32_t n_copies);

}  // namespace prefold::cuda
