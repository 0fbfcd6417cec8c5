#include "model/transformer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/timer.h"
#include "ops/elementwise.h"

namespace prefold {
namespace {

size_t floats_of(int64_t n_rows, int64_t n_cols) {
  return static_cast<size_t>(n_rows * padded_stride(n_cols));
}

Rows view(AlignedVector<float>& buffer, int32_t n_rows, int32_t n_cols) {
  CHECK(floats_of(n_rows, n_cols) <= buffer.size());
  return {buffer.data(), n_rows, n_cols, padded_stride(n_cols)};
}

int32_t n_rows_in(std::span<const RowSpan> spans) {
  return spans.empty() ? 0 : spans.back().first_row + spans.back().n_rows;
}

}  // namespace

size_t Workspace::bytes() const {
  return sizeof(float) * (hidden.size() + normed.size() + q.size() + k.size() + v.size() +
                          attended.size() + gate.size() + up.size()) +
         scratch.size();
}

Workspace allocate_workspace(const Device& device, const ModelConfig& config, int32_t max_rows) {
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
  const int32_t widest =
      std::max({config.hidden_size, config.ffn_size, config.n_heads * config.head_dim});
  w.scratch.resize(
      std::max({linear_scratch_bytes(device, max_rows, widest),
                linear_tiles_scratch_bytes(device, max_rows, config.hidden_size),
                attention_scratch_bytes(device, max_rows, config.n_heads, config.head_dim)}));
  return w;
}

ConstRows forward(const Device& device, const ModelConfig& config, const Weights& weights,
                  const RopeTable& rope_table, const PackedRows& rows, std::span<const KvLayer> kv,
                  Workspace& w, OpTimes& times) {
  const int32_t n_rows = static_cast<int32_t>(rows.token_ids.size());
  const int32_t n_spanned = n_rows_in(rows.spans);
  CHECK(n_spanned <= n_rows && n_rows <= w.max_rows);
  const Rows hidden = view(w.hidden, n_rows, config.hidden_size);
  const Rows normed = view(w.normed, n_rows, config.hidden_size);
  const Rows q = view(w.q, n_rows, config.n_heads * config.head_dim);
  const Rows k = view(w.k, n_rows, config.n_kv_heads * config.head_dim);
  const Rows v = view(w.v, n_rows, config.n_kv_heads * config.head_dim);
  const Rows attended = view(w.attended, n_rows, config.n_heads * config.head_dim);
  const Rows gate = view(w.gate, n_rows, config.ffn_size);
  const Rows up = view(w.up, n_rows, config.ffn_size);
  for (int32_t row = n_spanned; row < n_rows; ++row) {  // padding attends to nothing
    std::fill_n(attended.row(row), attended.n_cols, 0.0f);
  }
  const float attention_scale = static_cast<float>(1.0 / std::sqrt(double(config.head_dim)));

  Timer timer;
  gather_rows(device, weights.token_embedding, rows.token_ids, hidden);
  times.elementwise += timer.lap();
  for (int32_t layer_idx = 0; layer_idx < config.n_layers; ++layer_idx) {
    const LayerWeights& layer = weights.layers[layer_idx];

    // h += Wo attention(rope(Wq x), rope(Wk x), Wv x)   with x = norm(h)
    rmsnorm(device, hidden, layer.attention_norm, config.norm_eps, normed);
    times.elementwise += timer.lap();
    linear(device, normed,
           std::array{LinearPart{&layer.q.weight, layer.q.bias, q},
                      LinearPart{&layer.k.weight, layer.k.bias, k},
                      LinearPart{&layer.v.weight, layer.v.bias, v}},
           w.scratch);
    times.linear += timer.lap();
    rope(device, rope_table, rows.positions, config.head_dim, q);
    rope(device, rope_table, rows.positions, config.head_dim, k);
    times.elementwise += timer.lap();
    kv_append(device, first_rows(k, n_spanned), first_rows(v, n_spanned), rows.spans,
              rows.block_ids, kv[layer_idx]);
    times.kv_append += timer.lap();
    // Causal inside each sequence only: packed rows must not see one another.
    attention(device, first_rows(q, n_spanned), kv[layer_idx], rows.spans, rows.block_ids,
              rows.segments, attention_scale, w.scratch, first_rows(attended, n_spanned));
    times.attention += timer.lap();
    linear(device, attended, std::array{LinearPart{&layer.o.weight, layer.o.bias, hidden, true}},
           w.scratch);
    times.linear += timer.lap();

    // h += Wdown (silu(Wgate x) * Wup x)   with x = norm(h)
    rmsnorm(device, hidden, layer.ffn_norm, config.norm_eps, normed);
    times.elementwise += timer.lap();
    linear(device, normed,
           std::array{LinearPart{&layer.gate.weight, layer.gate.bias, gate},
                      LinearPart{&layer.up.weight, layer.up.bias, up}},
           w.scratch);
    times.linear += timer.lap();
    silu_mul(device, gate, up);
    times.elementwise += timer.lap();
    linear(device, gate, std::array{LinearPart{&layer.down.weight, layer.down.bias, hidden, true}},
           w.scratch);
    times.linear += timer.lap();
  }
  return hidden;
}

void logits_of_rows(const Device& device, const ModelConfig& config, const Weights& weights,
                    ConstRows hidden, std::span<const int32_t> rows, const Rows& kept, Workspace& w,
                    const LinearTileFn& fn, OpTimes& times) {
  Timer timer;
  const int32_t n_rows = static_cast<int32_t>(rows.size());
  const Rows normed = view(w.normed, n_rows, config.hidden_size);
  for (int32_t i = 0; i < n_rows; ++i) {
    std::copy_n(hidden.row(rows[i]), config.hidden_size, normed.row(i));
  }
  rmsnorm(device, normed, weights.final_norm, config.norm_eps, normed);
  linear_tiles(device, normed, weights.output(), kept, w.scratch, fn);
  times.lm_head += timer.lap();
}

}  // namespace prefold
