#include "cuda/cuda_ops.h"

#include <algorithm>

#include "base/check.h"
#include "cuda/error.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/embed.h"
#include "kernels/cuda/gated.h"
#include "kernels/cuda/kv_copy.h"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/rope_append.h"
#include "plan/step_plan.h"

namespace prefold::cuda {
namespace {

static_assert(kTokenFromSlot == StepPlan::kFromSlot);

DeviceRows device_rows(const CudaRows& rows) {
  return {rows.data, rows.type, rows.n_rows, rows.stride};
}

// Of the given rows of x, or of all if `rows` is null.
NormArgs norm_args(const CudaContext& context, const CudaRows& x, const int32_t* rows,
                   const CudaNorm& weights, const CudaRows& out) {
  NormArgs args;
  args.x = x.data;
  args.in_type = x.type;
  args.x_stride = x.stride;
  args.rows = rows;
  args.is_layer_norm = context.config.norm_kind == NormKind::kLayer;
  args.weight = weights.weight;
  args.bias = weights.bias;
  args.eps = context.config.norm_eps;
  args.n_rows = out.n_rows;
  args.n_cols = out.n_cols;
  args.out = out.data;
  args.out_type = out.type;
  args.out_stride = out.stride;
  return args;
}

GatedActivation gated_activation(Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return GatedActivation::kSilu;
    case Activation::kGelu:
      return GatedActivation::kGelu;
    case Activation::kGeluTanh:
      return GatedActivation::kGeluTanh;
    case Activation::kRelu:
      return GatedActivation::kRelu;
  }
  CHECK(false);
}

int32_t window_of(const LayerConfig& layer, int32_t n_positions) {
  return layer.window < n_positions ? layer.window : 0;
}

}  // namespace

size_t kv_bytes_per_block(FloatType type, const ModelConfig& config) {
  return 2 * size_t(config.n_layers) * config.n_kv_heads * kKvBlockTokens * config.head_dim *
         bytes_of(type);
}

std::vector<int32_t> attention_windows(const ModelConfig& config, int32_t n_positions) {
  std::vector<int32_t> windows;
  for (const LayerConfig& layer : config.layers) {
    const int32_t window = window_of(layer, n_positions);
    if (std::find(windows.begin(), windows.end(), window) == windows.end()) {
      windows.push_back(window);
    }
  }
  return windows;
}

std::vector<int32_t> attention_window_idx(const ModelConfig& config, int32_t n_positions) {
  const std::vector<int32_t> windows = attention_windows(config, n_positions);
  std::vector<int32_t> idx;
  for (const LayerConfig& layer : config.layers) {
    const auto found = std::find(windows.begin(), windows.end(), window_of(layer, n_positions));
    idx.push_back(static_cast<int32_t>(found - windows.begin()));
  }
  return idx;
}

CudaLayers::CudaLayers(const CudaContext& context, const StepTables& tables,
                       const int32_t* last_tokens)
    : context_(context),
      tables_(tables),
      last_tokens_(last_tokens),
      act_(activations_of(context.workspace, context.type, context.config, tables.n_rows)) {}

void CudaLayers::embed(const CudaRows& out) {
  EmbedArgs args;
  args.token_ids = tables_.token_ids;
  args.input_slots = tables_.input_slots;
  args.last_tokens = last_tokens_;
  args.n_rows = out.n_rows;
  args.table = context_.weights.token_embedding;
  args.hidden = static_cast<float*>(out.data);
  args.scale = context_.config.embedding_scale;
  args.position_table = context_.weights.position_embedding;
  args.positions = tables_.positions;
  check_launch("embed", launch_embed(args, context_.stream));
}

void CudaLayers::norm(const CudaRows& x, const CudaNorm& weights, const CudaRows& out) {
  check_launch("norm", launch_norm(norm_args(context_, x, nullptr, weights, out), context_.stream));
}

void CudaLayers::copy(const CudaRows& x, const CudaRows& out) {
  CopyRowsArgs args;
  args.x = static_cast<const float*>(x.data);
  args.x_stride = x.stride;
  args.out = out.data;
  args.out_type = out.type;
  args.out_stride = out.stride;
  args.n_rows = x.n_rows;
  args.n_cols = x.n_cols;
  check_launch("copy_rows", launch_copy_rows(args, context_.stream));
}

void CudaLayers::add_norm(const CudaRows& x, const CudaNorm& weights, const CudaRows& out) {
  NormArgs args = norm_args(context_, x, nullptr, weights, out);
  args.add_to_out = true;
  args.scale = context_.config.residual_scale;
  check_launch("norm", launch_norm(args, context_.stream));
}

void CudaLayers::linear(const CudaRows& x, std::initializer_list<Product> products) {
  for (const Product& product : products) {
    if (product.linear->weight.n_out == 0) continue;
    const GemmOutput output =
        product.out.type == FloatType::kF32 ? GemmOutput::kStoreF32 : GemmOutput::kStore;
    cuda::linear(context_.linear, device_rows(inputs_of(*product.linear, x)), *product.linear,
                 {product.out.data, product.out.stride, output});
  }
}

CudaRows CudaLayers::inputs_of(const CudaLinear& w, const CudaRows& x) {
  if (w.input_order == nullptr) return x;
  const CudaRows out{context_.workspace.reordered, x.type, x.n_rows, x.n_cols, x.n_cols};
  ReorderColsArgs args;
  args.x = x.data;
  args.type = x.type;
  args.x_stride = x.stride;
  args.order = w.input_order;
  args.out = out.data;
  args.out_stride = out.stride;
  args.n_rows = x.n_rows;
  args.n_cols = x.n_cols;
  check_launch("reorder_cols", launch_reorder_cols(args, context_.stream));
  return out;
}

void CudaLayers::add_linear(const CudaRows& x, const CudaLinear& w, const CudaRows& out) {
  cuda::linear(context_.linear, device_rows(inputs_of(w, x)), w,
               {out.data, out.stride, GemmOutput::kAddF32, context_.config.residual_scale});
}

void CudaLayers::clip(const CudaRows& q, const CudaRows& k, const CudaRows& v) {
  ClipRowsArgs args;
  args.x = q.data;
  args.type = q.type;
  args.stride = q.stride;
  args.limit = context_.config.qkv_clip;
  args.n_rows = q.n_rows;
  args.n_cols = q.n_cols + k.n_cols + v.n_cols;
  check_launch("clip_rows", launch_clip_rows(args, context_.stream));
}

void CudaLayers::qk_norm(const CudaRows& x, const CudaNorm& weights) {
  const ModelConfig& config = context_.config;
  if (config.qk_norm == QkNorm::kRow) return norm(x, weights, x);
  HeadNormArgs args;
  args.x = x.data;
  args.type = x.type;
  args.stride = x.stride;
  args.is_layer_norm = config.norm_kind == NormKind::kLayer;
  args.weight = weights.weight;
  args.bias = weights.bias;
  args.is_weight_per_head = weights.n_values > config.head_dim;
  args.eps = config.norm_eps;
  args.n_rows = x.n_rows;
  args.n_heads = x.n_cols / config.head_dim;
  args.head_dim = config.head_dim;
  check_launch("head_norm", launch_head_norm(args, context_.stream));
}

void CudaLayers::rope_and_append(int32_t layer_idx, const CudaRows& q, const CudaRows& k,
                                 const CudaRows& v) {
  const ModelConfig& config = context_.config;
  const CudaKvCache& kv = context_.kv;
  RopeAppendArgs args;
  args.type = context_.type;
  args.q = q.data;
  args.k = k.data;
  args.v = v.data;
  args.q_stride = q.stride;
  args.k_stride = k.stride;
  args.v_stride = v.stride;
  args.n_rows = q.n_rows;
  args.n_heads = config.n_heads;
  args.n_kv_heads = config.n_kv_heads;
  args.head_dim = config.head_dim;
  const int32_t rope_idx = config.layers[layer_idx].rope_idx;
  if (rope_idx >= 0) {
    const RopeConfig& rope = config.ropes[rope_idx];
    args.cos = context_.workspace.ropes[rope_idx].cos;
    args.sin = context_.workspace.ropes[rope_idx].sin;
    args.rotary_dim = rope.rotary_dim;
    args.is_interleaved = rope.kind == RopeKind::kInterleaved;
  }
  args.positions = tables_.positions;
  args.kv_slots = tables_.kv_slots;
  args.k_cache = kv.k + layer_idx * kv.layer_bytes;
  args.v_cache = kv.v + layer_idx * kv.layer_bytes;
  check_launch("rope_append", launch_rope_append(args, context_.stream));
}

void CudaLayers::keep_wanted_rows() {
  const KeptTables& kept = tables_.kept;
  if (kept.n_rows == 0) return;
  for (const CudaRows& x : {act_.hidden, act_.normed, act_.q}) {
    KeepRowsArgs args;
    args.x = x.data;
    args.type = x.type;
    args.stride = x.stride;
    args.rows = kept.rows;
    args.n_rows = kept.n_rows;
    args.n_cols = x.n_cols;
    check_launch("keep_rows", launch_keep_rows(args, context_.stream));
  }
  for (CudaRows* x :
       {&act_.hidden, &act_.normed, &act_.q, &act_.attended, &act_.gate, &act_.up, &act_.branch}) {
    x->n_rows = kept.n_rows;
  }
  has_kept_ = true;
}

void CudaLayers::attend(int32_t layer_idx, const CudaRows& q, const CudaRows& out) {
  const ModelConfig& config = context_.config;
  const CudaKvCache& kv = context_.kv;
  const AttentionTables& lists =
      has_kept_ ? tables_.kept.attention : tables_.attention[context_.window_idx[layer_idx]];
  AttentionArgs args;
  args.type = context_.type;
  args.q = q.data;
  args.out = out.data;
  args.q_stride = q.stride;
  args.out_stride = out.stride;
  args.k = kv.k + layer_idx * kv.layer_bytes;
  args.v = kv.v + layer_idx * kv.layer_bytes;
  args.positions = has_kept_ ? tables_.kept.positions : tables_.positions;
  args.block_ids = tables_.entries;
  args.items = lists.items;
  args.merges = lists.merges;
  args.parts = tables_.entries;
  args.counts = lists.counts;
  args.max_items = lists.most.n_items;
  args.max_merges = lists.most.n_merges;
  args.partial_acc = context_.workspace.partial_acc;
  args.partial_max_sum = context_.workspace.partial_max_sum;
  args.n_heads = config.n_heads;
  args.n_kv_heads = config.n_kv_heads;
  args.head_dim = config.head_dim;
  args.scale = config.attention_scale;
  args.window = config.layers[layer_idx].window;
  args.soft_cap = config.attention_softcap;
  args.max_shared_bytes = context_.max_shared_bytes;
  check_launch("attention", launch_attention(args, context_.stream));
  if (args.max_merges > 0) {
    check_launch("attention_merge", launch_attention_merge(args, context_.stream));
  }
}

void CudaLayers::gate(const CudaRows& gate, const CudaRows& up) {
  GatedArgs args;
  args.activation = gated_activation(context_.config.activation);
  args.gate = gate.data;
  args.up = up.data;
  args.gate_stride = gate.stride;
  args.up_stride = up.stride;
  args.n_rows = gate.n_rows;
  args.n_cols = gate.n_cols;
  args.type = gate.type;
  check_launch("gated", launch_gated(args, context_.stream));
}

void CudaLayers::activate(const CudaRows& x) { gate(x, {}); }

void CudaLayers::add_scaled(const CudaRows& x, const CudaRows& out) {
  AddRowsArgs args;
  args.x = static_cast<const float*>(x.data);
  args.x_stride = x.stride;
  args.scale = context_.config.residual_scale;
  args.out = static_cast<float*>(out.data);
  args.out_stride = out.stride;
  args.n_rows = x.n_rows;
  args.n_cols = x.n_cols;
  check_launch("add_rows", launch_add_rows(args, context_.stream));
}

void CudaLogits::norm_of_rows(const CudaRows& x, const CudaRows& out) {
  check_launch("norm", launch_norm(norm_args(context, x, rows, context.weights.final_norm, out),
                                   context.stream));
}

void CudaLogits::output(const CudaRows& x) {
  cuda::linear(context.output_linear, device_rows(x), context.weights.output,
               {context.workspace.logits, context.workspace.logits_stride, GemmOutput::kStoreF32});
  const ModelConfig& config = context.config;
  if (config.logit_scale == 1.0f && config.logit_softcap == 0.0f) return;
  ScaleCapArgs args;
  args.x = context.workspace.logits;
  args.stride = context.workspace.logits_stride;
  args.scale = config.logit_scale;
  args.cap = config.logit_softcap;
  args.n_rows = x.n_rows;
  args.n_cols = config.vocab_size;
  check_launch("scale_cap", launch_scale_cap(args, context.stream));
}

void copy_blocks(const CudaContext& context, const StepTables& tables, int32_t n_copies) {
  if (n_copies == 0) return;
  const CudaKvCache& kv = context.kv;
  KvCopyArgs args;
  args.type = kv.type;
  args.k = kv.k;
  args.v = kv.v;
  args.n_layers = context.config.n_layers;
  args.n_blocks = kv.n_blocks;
  args.n_kv_heads = context.config.n_kv_heads;
  args.head_dim = context.config.head_dim;
  args.copies = tables.copies;
  args.n_copies = n_copies;
  check_launch("kv_copy", launch_kv_copy(args, context.stream));
}

}  // namespace prefold::cuda
