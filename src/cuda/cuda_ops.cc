#include "cuda/cuda_ops.h"

#include "base/check.h"
#include "cuda/error.h"
#include "kernels/cuda/attention.h"
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
void rmsnorm(const CudaContext& context, const CudaRows& x, const int32_t* rows,
             const float* weight, const CudaRows& out) {
  RmsNormArgs args;
  args.hidden = static_cast<const float*>(x.data);
  args.rows = rows;
  args.gamma = weight;
  args.eps = context.config.norm_eps;
  args.n_rows = out.n_rows;
  args.n_cols = out.n_cols;
  args.out = out.data;
  args.out_type = out.type;
  check_launch("rmsnorm", launch_rmsnorm(args, context.stream));
}

}  // namespace

size_t kv_bytes_per_block(FloatType type, const ModelConfig& config) {
  return 2 * size_t(config.n_layers) * config.n_kv_heads * kKvBlockTokens * config.head_dim *
         bytes_of(type);
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
  check_launch("embed", launch_embed(args, context_.stream));
}

void CudaLayers::norm(const CudaRows& x, const float* weight, const CudaRows& out) {
  rmsnorm(context_, x, nullptr, weight, out);
}

void CudaLayers::linear(const CudaRows& x, std::initializer_list<Product> products) {
  for (const Product& product : products) {
    if (product.linear->weight.n_out == 0) continue;
    cuda::linear(context_.linear, device_rows(x), *product.linear,
                 {product.out.data, product.out.stride, GemmOutput::kStore});
  }
}

void CudaLayers::add_linear(const CudaRows& x, const DeviceLinear& w, const CudaRows& out) {
  cuda::linear(context_.linear, device_rows(x), w, {out.data, out.stride, GemmOutput::kAddF32});
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
  args.cos = context_.workspace.rope_cos;
  args.sin = context_.workspace.rope_sin;
  args.rotary_dim = config.ropes.front().rotary_dim;
  args.is_interleaved = config.ropes.front().kind == RopeKind::kInterleaved;
  args.positions = tables_.positions;
  args.kv_slots = tables_.kv_slots;
  args.k_cache = kv.k + layer_idx * kv.layer_bytes;
  args.v_cache = kv.v + layer_idx * kv.layer_bytes;
  check_launch("rope_append", launch_rope_append(args, context_.stream));
}

void CudaLayers::attend(int32_t layer_idx, const CudaRows& q, const CudaRows& out) {
  const ModelConfig& config = context_.config;
  const CudaKvCache& kv = context_.kv;
  AttentionArgs args;
  args.type = context_.type;
  args.q = q.data;
  args.out = out.data;
  args.q_stride = q.stride;
  args.out_stride = out.stride;
  args.k = kv.k + layer_idx * kv.layer_bytes;
  args.v = kv.v + layer_idx * kv.layer_bytes;
  args.positions = tables_.positions;
  args.block_ids = tables_.entries;
  args.items = tables_.items;
  args.merges = tables_.merges;
  args.parts = tables_.entries;
  args.counts = tables_.counts;
  args.max_items = tables_.most.n_items;
  args.max_merges = tables_.most.n_merges;
  args.partial_acc = context_.workspace.partial_acc;
  args.partial_max_sum = context_.workspace.partial_max_sum;
  args.n_heads = config.n_heads;
  args.n_kv_heads = config.n_kv_heads;
  args.head_dim = config.head_dim;
  args.scale = config.attention_scale;
  args.max_shared_bytes = context_.max_shared_bytes;
  check_launch("attention", launch_attention(args, context_.stream));
  if (args.max_merges > 0) {
    check_launch("attention_merge", launch_attention_merge(args, context_.stream));
  }
}

void CudaLayers::gate(const CudaRows& gate, const CudaRows& up) {
  GatedArgs args;
  args.gate = gate.data;
  args.up = up.data;
  args.gate_stride = gate.stride;
  args.up_stride = up.stride;
  args.n_rows = gate.n_rows;
  args.n_cols = gate.n_cols;
  args.type = gate.type;
  check_launch("silu_mul", launch_silu_mul(args, context_.stream));
}

// check_model lets no model through that needs these.
void CudaLayers::copy(const CudaRows&, const CudaRows&) { CHECK(false); }
void CudaLayers::add_norm(const CudaRows&, const float*, const CudaRows&) { CHECK(false); }
void CudaLayers::clip(const CudaRows&, const CudaRows&, const CudaRows&) { CHECK(false); }
void CudaLayers::qk_norm(const CudaRows&, const float*) { CHECK(false); }
void CudaLayers::activate(const CudaRows&) { CHECK(false); }
void CudaLayers::moe(int32_t, const CudaRows&, const CudaRows&) { CHECK(false); }
void CudaLayers::add_scaled(const CudaRows&, const CudaRows&) { CHECK(false); }

void CudaLogits::norm_of_rows(const CudaRows& x, const CudaRows& out) {
  rmsnorm(context, x, rows, context.weights.final_norm, out);
}

void CudaLogits::output(const CudaRows& x) {
  cuda::linear(context.output_linear, device_rows(x), context.weights.output,
               {context.workspace.logits, context.workspace.logits_stride, GemmOutput::kStoreF32});
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
