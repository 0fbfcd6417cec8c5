// The forward pass, written once for every backend: the equations, driven by ModelConfig, over the
// ops of a backend. What a model may do differently (another norm, a norm of queries and keys,
// blocks side by side, experts) is told here, by the config; how it is computed, by the ops.
//
// Ops is one step as a backend sees it; its views of rows and its weights are the backend's own:
//
//   activations()                   the step's rows: the residual stream `hidden`, and `normed`,
//                                   `q`, `k`, `v`, `attended`, `gate`, `up`
//   layer_weights(i)                attention_norm, q, k, v, o, ffn_norm, gate, up, down
//   embed(out)                      out = the embeddings of the step's tokens
//   norm(x, weight, out)            out = x / sqrt(mean(x^2) + eps) * weight
//   linear(x, {{&w, out}, ...})     out = x W^T + b, for each of them
//   add_linear(x, w, out)           out += x W^T + b
//   rope_and_append(i, q, k, v)     q and k turned by their rows' positions; k and v stored in
//                                   layer i's KV cache
//   attend(i, q, scale, out)        out = softmax(scale q K^T) V, causal inside each sequence
//                                   only: packed rows do not see one another
//   gate(gate, up)                  gate = silu(gate) * up
//
// and for the rows whose logits are wanted, known to the backend as is where the logits go:
//
//   norm_of_rows(x, out)            out = the final norm of those rows of x
//   output(x)                       the LM head
//
// A row's result depends on the row alone (docs/architecture.md, I6): an op that fuses several of
// these, or puts one off to fuse it with a later one, keeps the order of operations in a row.
#pragma once

#include <cmath>
#include <cstdint>

#include "model/config.h"

namespace prefold {

inline float attention_scale(const ModelConfig& config) {
  return static_cast<float>(1.0 / std::sqrt(double(config.head_dim)));
}

// h += Wo attention(rope(Wq x), rope(Wk x), Wv x)   with x = norm(h)
template <class Ops>
void attention_block(Ops& ops, const ModelConfig& config, int32_t layer_idx) {
  const auto& act = ops.activations();
  const auto& layer = ops.layer_weights(layer_idx);
  ops.norm(act.hidden, layer.attention_norm, act.normed);
  ops.linear(act.normed, {{&layer.q, act.q}, {&layer.k, act.k}, {&layer.v, act.v}});
  ops.rope_and_append(layer_idx, act.q, act.k, act.v);
  ops.attend(layer_idx, act.q, attention_scale(config), act.attended);
  ops.add_linear(act.attended, layer.o, act.hidden);
}

// h += Wdown (silu(Wgate x) * Wup x)   with x = norm(h)
template <class Ops>
void feed_forward_block(Ops& ops, int32_t layer_idx) {
  const auto& act = ops.activations();
  const auto& layer = ops.layer_weights(layer_idx);
  ops.norm(act.hidden, layer.ffn_norm, act.normed);
  ops.linear(act.normed, {{&layer.gate, act.gate}, {&layer.up, act.up}});
  ops.gate(act.gate, act.up);
  ops.add_linear(act.gate, layer.down, act.hidden);
}

// All layers: `hidden` is left before the final norm.
template <class Ops>
void forward_pass(Ops& ops, const ModelConfig& config) {
  ops.embed(ops.activations().hidden);
  for (int32_t layer_idx = 0; layer_idx < config.n_layers; ++layer_idx) {
    attention_block(ops, config, layer_idx);
    feed_forward_block(ops, layer_idx);
  }
}

// logits = Wout norm(h), of the rows that need them.
template <class Ops, class ConstRows, class Rows>
void logits_pass(Ops& ops, const ConstRows& hidden, const Rows& normed) {
  ops.norm_of_rows(hidden, normed);
  ops.output(normed);
}

}  // namespace prefold
