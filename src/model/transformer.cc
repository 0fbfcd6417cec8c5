#include "model/transformer.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include "base/check.h"
#include "base/timer.h"
#include "model/buffers.h"
#include "model/forward_pass.h"
#include "model/lora_layer.h"
#include "model/moe_layer.h"
#include "ops/elementwise.h"

namespace prefold {
namespace {

int32_t n_rows_in(std::span<const RowSpan> spans) {
  return spans.empty() ? 0 : spans.back().first_row + spans.back().n_rows;
}

// Whether what a block gives is kept before it is added.
bool has_branch(const ModelConfig& config) {
  return config.has_post_norm || config.residual_scale != 1.0f || config.moe.n_experts > 0;
}

NormParams norm_params(const ModelConfig& config, const Norm& weights) {
  return {config.norm_kind, config.norm_eps, weights.weight, weights.bias};
}

// Views of the workspace for so many rows.
struct Activations {
  Rows hidden, normed, q, k, v, attended, gate, up, branch;
};

Activations activations_of(const ModelConfig& config, int32_t n_rows, Workspace& w) {
  return {view(w.hidden, n_rows, config.hidden_size),
          view(w.normed, n_rows, config.hidden_size),
          view(w.q, n_rows, config.n_heads * config.head_dim),
          view(w.k, n_rows, config.n_kv_heads * config.head_dim),
          view(w.v, n_rows, config.n_kv_heads * config.head_dim),
          view(w.attended, n_rows, config.n_heads * config.head_dim),
          view(w.gate, n_rows, config.ffn_size),
          view(w.up, n_rows, config.ffn_size),
          has_branch(config) ? view(w.branch, n_rows, config.hidden_size) : Rows{}};
}

// One step's layers on the CPU, as forward_pass.h wants them; the time of each op is counted.
class CpuLayers {
 public:
  struct Product {
    const LayerLinear* linear = nullptr;
    Rows out;
  };
  struct Adapted {
    LoraSite site = LoraSite::kQ;
    Rows out;
  };

  CpuLayers(const Device& device, const ModelConfig& config, const Weights& weights,
            std::span<const RopeTable> rope_tables, const PackedRows& rows,
            std::span<const KvLayer> kv, Workspace& workspace, OpTimes& times)
      : device_(device),
        config_(config),
        weights_(weights),
        rope_tables_(rope_tables),
        rows_(rows),
        kv_(kv),
        n_spanned_(n_rows_in(rows.spans)),
        act_(activations_of(config, static_cast<int32_t>(rows.token_ids.size()), workspace)),
        moe_(workspace.moe),
        lora_(workspace.lora),
        kept_(workspace.kept),
        reordered_(workspace.reordered),
        scratch_(workspace.scratch),
        times_(times) {
    const Rows& attended = act_.attended;
    CHECK(n_spanned_ <= attended.n_rows && attended.n_rows <= workspace.max_rows);
    for (int32_t row = n_spanned_; row < attended.n_rows; ++row) {  // padding attends to nothing
      std::fill_n(attended.row(row), attended.n_cols, 0.0f);
    }
    group_adapter_rows(rows.adapters, attended.n_rows, lora_);
    timer_.lap();
  }

  const Activations& activations() const { return act_; }
  const LayerWeights& layer_weights(int32_t layer_idx) const { return weights_.layers[layer_idx]; }

  void embed(const Rows& out) {
    gather_rows(device_, weights_.token_embedding, rows_.token_ids, out);
    if (config_.embedding_scale != 1.0f) scale_rows(device_, config_.embedding_scale, out);
    if (config_.has_position_embedding) {
      gather_rows(device_, weights_.position_embedding, rows_.positions, act_.normed);
      prefold::add_scaled(device_, act_.normed, 1.0f, out);
    }
    times_.elementwise += timer_.lap();
  }

  void norm(const Rows& x, const Norm& weights, const Rows& out) {
    prefold::norm(device_, x, norm_params(config_, weights), out);
    times_.elementwise += timer_.lap();
  }

  void copy(const Rows& x, const Rows& out) {
    for (int32_t row = 0; row < x.n_rows; ++row) std::copy_n(x.row(row), x.n_cols, out.row(row));
    times_.elementwise += timer_.lap();
  }

  void add_norm(const Rows& x, const Norm& weights, const Rows& out) {
    prefold::add_norm(device_, x, norm_params(config_, weights), config_.residual_scale, out);
    times_.elementwise += timer_.lap();
  }

  // Neighbours that take their inputs in the same order are one call.
  void linear(const Rows& x, std::initializer_list<Product> products) {
    std::array<LinearPart, 3> parts;
    CHECK(products.size() <= parts.size());
    for (const Product* begin = products.begin(); begin != products.end();) {
      const Product* const end = std::find_if(begin, products.end(), [&](const Product& product) {
        return product.linear->input_order != begin->linear->input_order;
      });
      std::transform(begin, end, parts.begin(), [](const Product& product) {
        return LinearPart{&product.linear->weight, product.linear->bias, product.out};
      });
      prefold::linear(device_, inputs_of(*begin->linear, x),
                      std::span(parts).first(static_cast<size_t>(end - begin)), scratch_);
      begin = end;
    }
    times_.linear += timer_.lap();
  }

  void add_linear(const Rows& x, const LayerLinear& w, const Rows& out) {
    if (config_.residual_scale != 1.0f) {
      linear(x, {{&w, act_.branch}});
      return add_scaled(act_.branch, out);
    }
    prefold::linear(device_, inputs_of(w, x), std::array{LinearPart{&w.weight, w.bias, out, true}},
                    scratch_);
    times_.linear += timer_.lap();
  }

  void add_lora(int32_t layer_idx, const Rows& x, std::initializer_list<Adapted> adapted) {
    if (rows_.adapters.empty()) return;
    std::array<LoraPart, kMaxLoraParts> parts;
    CHECK(adapted.size() <= parts.size());
    std::transform(adapted.begin(), adapted.end(), parts.begin(), [&](const Adapted& it) {
      return LoraPart{&weights_.adapters.at(layer_idx, it.site), it.out};
    });
    prefold::add_lora(device_, x, std::span(parts).first(adapted.size()), lora_, scratch_);
    times_.linear += timer_.lap();
  }

  void clip(const Rows& q, const Rows& k, const Rows& v) {
    for (const Rows& x : {q, k, v}) prefold::clip(device_, config_.qkv_clip, x);
    times_.elementwise += timer_.lap();
  }

  void qk_norm(const Rows& x, const Norm& weights) {
    const NormParams params = norm_params(config_, weights);
    if (config_.qk_norm == QkNorm::kRow) {
      prefold::norm(device_, x, params, x);
    } else {
      norm_heads(device_, params, config_.head_dim, x);
    }
    times_.elementwise += timer_.lap();
  }

  void rope_and_append(int32_t layer_idx, const Rows& q, const Rows& k, const Rows& v) {
    const int32_t rope_idx = config_.layers[layer_idx].rope_idx;
    if (rope_idx >= 0) {
      rope(device_, rope_tables_[rope_idx], rows_.positions, config_.head_dim, q);
      rope(device_, rope_tables_[rope_idx], rows_.positions, config_.head_dim, k);
    }
    times_.elementwise += timer_.lap();
    kv_append(device_, first_rows(k, n_spanned_), first_rows(v, n_spanned_), rows_.spans,
              rows_.block_ids, kv_[layer_idx]);
    times_.kv_append += timer_.lap();
  }

  void keep_wanted_rows() {
    const std::span<const int32_t> wanted = rows_.wanted;
    const auto n_wanted = static_cast<int32_t>(wanted.size());
    if (n_wanted == act_.hidden.n_rows) return;
    for (const Rows& x : {act_.hidden, act_.normed, act_.q}) {
      for (int32_t i = 0; i < n_wanted; ++i) {
        if (wanted[i] != i) std::copy_n(x.row(wanted[i]), x.n_cols, x.row(i));
      }
    }
    for (Rows* x : {&act_.hidden, &act_.normed, &act_.q, &act_.attended, &act_.gate, &act_.up,
                    &act_.branch}) {
      x->n_rows = n_wanted;
    }
    keep_rows(rows_.spans, rows_.segments, rows_.adapters, wanted, kept_);
    rows_.spans = kept_.spans;
    rows_.segments = kept_.segments;
    rows_.adapters = kept_.adapters;
    n_spanned_ = n_wanted;
    group_adapter_rows(rows_.adapters, n_wanted, lora_);
    times_.elementwise += timer_.lap();
  }

  void attend(int32_t layer_idx, const Rows& q, const Rows& out) {
    attention(
        device_, first_rows(q, n_spanned_), kv_[layer_idx], rows_.spans, rows_.block_ids,
        rows_.segments,
        {config_.attention_scale, config_.attention_softcap, config_.layers[layer_idx].window},
        scratch_, first_rows(out, n_spanned_));
    times_.attention += timer_.lap();
  }

  void gate(const Rows& gate, const Rows& up) {
    prefold::gate(device_, config_.activation, gate, up);
    times_.elementwise += timer_.lap();
  }

  void activate(const Rows& x) {
    prefold::activate(device_, config_.activation, x);
    times_.elementwise += timer_.lap();
  }

  void moe(int32_t layer_idx, const Rows& x, const Rows& out) {
    if (x.n_rows == 0) return;
    moe_layer(device_, config_, weights_.layers[layer_idx].moe, x, moe_, scratch_, out);
    times_.linear += timer_.lap();
  }

  void add_scaled(const Rows& x, const Rows& out) {
    prefold::add_scaled(device_, x, config_.residual_scale, out);
    times_.elementwise += timer_.lap();
  }

 private:
  // x as the matrix takes it.
  Rows inputs_of(const LayerLinear& w, const Rows& x) {
    if (w.input_order == nullptr) return x;
    const Rows reordered = view(reordered_, x.n_rows, x.n_cols);
    reorder_columns(device_, x, *w.input_order, reordered);
    return reordered;
  }

  const Device& device_;
  const ModelConfig& config_;
  const Weights& weights_;
  std::span<const RopeTable> rope_tables_;
  PackedRows rows_;
  std::span<const KvLayer> kv_;
  int32_t n_spanned_;
  Activations act_;
  MoeBuffers& moe_;
  LoraBuffers& lora_;
  KeptRows& kept_;
  AlignedVector<float>& reordered_;
  std::span<std::byte> scratch_;
  OpTimes& times_;
  Timer timer_;
};

}  // namespace

void final_norm(const Device& device, const ModelConfig& config, const Weights& weights,
                ConstRows hidden, const Rows& out) {
  norm(device, hidden, norm_params(config, weights.final_norm), out);
}

Rows normed_rows(const ModelConfig& config, int32_t n_rows, Workspace& workspace) {
  return view(workspace.normed, n_rows, config.hidden_size);
}

namespace {

// The logits of some rows, in tiles.
struct CpuLogits {
  const Device& device;
  const ModelConfig& config;
  const Weights& weights;
  std::span<const int32_t> rows;
  const Rows& kept;
  std::span<std::byte> scratch;
  const LinearTileFn& fn;

  void norm_of_rows(ConstRows x, const Rows& out) {
    for (int32_t i = 0; i < out.n_rows; ++i) std::copy_n(x.row(rows[i]), out.n_cols, out.row(i));
    final_norm(device, config, weights, out, out);
  }
  void output(const Rows& x) {
    linear_tiles(device, x, weights.output(),
                 {weights.lm_head_bias, config.logit_scale, config.logit_softcap}, kept, scratch,
                 fn);
  }
};

}  // namespace

size_t Workspace::bytes() const {
  return sizeof(float) *
             (hidden.size() + normed.size() + q.size() + k.size() + v.size() + attended.size() +
              gate.size() + up.size() + branch.size() + reordered.size()) +
         moe.bytes() + lora.bytes() + scratch.size();
}

Workspace allocate_workspace(const Device& device, const ModelConfig& config,
                             const Weights& weights, int32_t max_rows) {
  const Adapters& adapters = weights.adapters;
  Workspace w;
  w.max_rows = max_rows;
  w.hidden.resize(floats_of(max_rows, config.hidden_size));
  w.normed.resize(floats_of(max_rows, config.hidden_size));
  w.q.resize(floats_of(max_rows, config.n_heads * config.head_dim));
  w.k.resize(floats_of(max_rows, config.n_kv_heads * config.head_dim));
  w.v.resize(floats_of(max_rows, config.n_kv_heads * config.head_dim));
  w.attended.resize(floats_of(max_rows, config.n_heads * config.head_dim));
  w.gate.resize(floats_of(max_rows, config.ffn_size));
  w.up.resize(floats_of(max_rows, config.ffn_size));
  w.moe = allocate_moe_buffers(config.moe, config.hidden_size, max_rows);
  w.lora = allocate_lora_buffers(adapters, max_rows);
  if (const int32_t n_cols = weights.max_reordered(); n_cols > 0) {
    w.reordered.resize(floats_of(max_rows, n_cols));
  }
  if (has_branch(config)) w.branch.resize(floats_of(max_rows, config.hidden_size));
  const int32_t widest =
      std::max({config.hidden_size, config.ffn_size, config.n_heads * config.head_dim});
  w.scratch.resize(
      std::max({linear_scratch_bytes(device, max_rows, widest),
                moe_scratch_bytes(device, config.moe, config.hidden_size, max_rows),
                lora_scratch_bytes(device, adapters, max_rows, widest),
                linear_tiles_scratch_bytes(device, max_rows, config.hidden_size),
                attention_scratch_bytes(device, max_rows, config.n_heads, config.head_dim)}));
  return w;
}

ConstRows forward(const Device& device, const ModelConfig& config, const Weights& weights,
                  std::span<const RopeTable> rope_tables, const PackedRows& rows,
                  std::span<const KvLayer> kv, Workspace& workspace, OpTimes& times) {
  CpuLayers ops(device, config, weights, rope_tables, rows, kv, workspace, times);
  forward_pass(ops, config);
  return ops.activations().hidden;
}

void logits_of_rows(const Device& device, const ModelConfig& config, const Weights& weights,
                    ConstRows hidden, std::span<const int32_t> rows, const Rows& kept,
                    Workspace& workspace, const LinearTileFn& fn, OpTimes& times) {
  const Timer timer;
  CpuLogits ops{device, config, weights, rows, kept, workspace.scratch, fn};
  logits_pass(ops, hidden, normed_rows(config, static_cast<int32_t>(rows.size()), workspace));
  times.lm_head += timer.seconds();
}

}  // namespace prefold
