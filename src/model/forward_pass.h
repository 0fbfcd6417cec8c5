// The forward pass, written once for every backend: the equations, driven by ModelConfig, over the
// ops of a backend. What a model may do differently (another norm, a norm of queries and keys,
// blocks side by side, experts) is told here, by the config; how it is computed, by the ops.
//
// Ops is one step as a backend sees it; its views of rows and its weights are the backend's own:
//
//   activations()                   the step's rows: the residual stream `hidden`, and `normed`,
//                                   `q`, `k`, `v`, `attended`, `gate`, `up`, and `branch`, what a
//                                   block gives where that is not added to `hidden` at once
//   layer_weights(i)                LayerWeights (weights.h), as the backend holds them
//   embed(out)                      out = the embeddings of the step's tokens * embedding_scale,
//                                   + those of their positions where the model has such
//   norm(x, weights, out)           out = the model's norm of each row of x (NormKind)
//   copy(x, out)                    out = x
//   add_norm(x, weights, out)       out += residual_scale * norm(x)
//   linear(x, {{&w, out}, ...})     out = x W^T + b, for each of them
//   add_linear(x, w, out)           out += residual_scale * (x W^T + b)
//   add_lora(i, x, {{site, out}, ...})  out += what each row's adapter, if it has one, adds to that
//                                   product of layer i (lora.h), for each of them
//   qk_norm(q, weights)             q = norm(q) in place, by head or by row (QkNorm)
//   clip(q, k, v)                   each value clamped to +-qkv_clip
//   rope_and_append(i, q, k, v)     q and k turned by their rows' positions, as layer i does; k and
//                                   v stored in layer i's KV cache
//   keep_wanted_rows()              once, in the last layer, whose keys and values are all that the
//                                   other rows still give: leaves `hidden`, `normed`, `q` and what
//                                   follows to the rows of which something is read afterwards
//                                   (plan/kept_rows.h), or leaves all as it is
//   attend(i, q, out)               out = softmax(cap(attention_scale q K^T)) V, causal, inside
//                                   each sequence only (packed rows do not see one another) and
//                                   inside layer i's window
//   gate(gate, up)                  gate = act(gate) * up
//   activate(gate)                  gate = act(gate)
//   moe(i, x, out)                  out = sum over the experts e that the router takes for a row,
//                                   in order of e, of weight_e * down_e(act(gate_e x) * up_e x),
//                                   then the shared expert's
//   add_scaled(x, out)              out += residual_scale * x
//
// and for the rows whose logits are wanted, known to the backend as is where the logits go:
//
//   norm_of_rows(x, out)            out = the final norm of those rows of x
//   output(x)                       the LM head: cap(logit_scale * (x W^T + b))
//
// A row's result depends on the row alone (docs/architecture.md, I6): an op that fuses several of
// these, or puts one off to fuse it with a later one, keeps the order of operations in a row.
#pragma once

#include <cstdint>

#include "model/config.h"
#include "model/lora.h"

namespace prefold {

// attended = attention(rope(qk_norm(Wq x)), rope(qk_norm(Wk x)), Wv x)
template <class Ops>
void attend_to(Ops& ops, const ModelConfig& config, int32_t layer_idx) {
  const auto& act = ops.activations();
  const auto& layer = ops.layer_weights(layer_idx);
  ops.linear(act.normed, {{&layer.q, act.q}, {&layer.k, act.k}, {&layer.v, act.v}});
  ops.add_lora(layer_idx, act.normed,
               {{LoraSite::kQ, act.q}, {LoraSite::kK, act.k}, {LoraSite::kV, act.v}});
  if (config.qk_norm != QkNorm::kNone) {
    ops.qk_norm(act.q, layer.q_norm);
    ops.qk_norm(act.k, layer.k_norm);
  }
  if (config.qkv_clip > 0.0f) ops.clip(act.q, act.k, act.v);
  ops.rope_and_append(layer_idx, act.q, act.k, act.v);
  if (layer_idx + 1 == config.n_layers) ops.keep_wanted_rows();
  ops.attend(layer_idx, act.q, act.attended);
}

// gate = act(Wgate x) * Wup x, or act(Wup x)
template <class Ops>
void expand(Ops& ops, const ModelConfig& config, int32_t layer_idx) {
  const auto& act = ops.activations();
  const auto& layer = ops.layer_weights(layer_idx);
  if (config.has_gate) {
    ops.linear(act.normed, {{&layer.gate, act.gate}, {&layer.up, act.up}});
    ops.add_lora(layer_idx, act.normed, {{LoraSite::kGate, act.gate}, {LoraSite::kUp, act.up}});
    ops.gate(act.gate, act.up);
  } else {
    ops.linear(act.normed, {{&layer.up, act.gate}});
    ops.add_lora(layer_idx, act.normed, {{LoraSite::kUp, act.gate}});
    ops.activate(act.gate);
  }
}

// normed = what a block reads of the residual stream
template <class Ops, class NormWeights>
void read_stream(Ops& ops, const ModelConfig& config, const NormWeights& norm) {
  const auto& act = ops.activations();
  if (config.has_pre_norm) {
    ops.norm(act.hidden, norm, act.normed);
  } else {
    ops.copy(act.hidden, act.normed);
  }
}

// h += W x, with a norm before the sum where the model has one. w: layer layer_idx's at `site`.
template <class Ops, class Rows, class LinearWeights, class NormWeights>
void add_to_stream(Ops& ops, const ModelConfig& config, int32_t layer_idx, LoraSite site,
                   const Rows& x, const LinearWeights& w, const NormWeights& post_norm) {
  const auto& act = ops.activations();
  if (config.has_post_norm) {
    ops.linear(x, {{&w, act.branch}});
    ops.add_lora(layer_idx, x, {{site, act.branch}});
    ops.add_norm(act.branch, post_norm, act.hidden);
  } else {
    ops.add_linear(x, w, act.hidden);
    ops.add_lora(layer_idx, x, {{site, act.hidden}});
  }
}

// h += attention(norm(h)), then h += feed_forward(norm(h))
template <class Ops>
void sequential_layer(Ops& ops, const ModelConfig& config, int32_t layer_idx) {
  const auto& act = ops.activations();
  const auto& layer = ops.layer_weights(layer_idx);
  read_stream(ops, config, layer.attention_norm);
  attend_to(ops, config, layer_idx);
  add_to_stream(ops, config, layer_idx, LoraSite::kO, act.attended, layer.o,
                layer.attention_post_norm);
  read_stream(ops, config, layer.ffn_norm);
  if (!config.layers[layer_idx].is_moe) {
    expand(ops, config, layer_idx);
    add_to_stream(ops, config, layer_idx, LoraSite::kDown, act.gate, layer.down,
                  layer.ffn_post_norm);
    return;
  }
  ops.moe(layer_idx, act.normed, act.branch);
  if (config.has_post_norm) {
    ops.add_norm(act.branch, layer.ffn_post_norm, act.hidden);
  } else {
    ops.add_scaled(act.branch, act.hidden);
  }
}

// h += attention(norm(h)) + feed_forward(norm(h))
template <class Ops>
void parallel_layer(Ops& ops, const ModelConfig& config, int32_t layer_idx) {
  const auto& act = ops.activations();
  const auto& layer = ops.layer_weights(layer_idx);
  read_stream(ops, config, layer.attention_norm);
  attend_to(ops, config, layer_idx);
  if (config.has_parallel_norm) read_stream(ops, config, layer.ffn_norm);
  expand(ops, config, layer_idx);
  ops.add_linear(act.attended, layer.o, act.hidden);
  ops.add_lora(layer_idx, act.attended, {{LoraSite::kO, act.hidden}});
  ops.add_linear(act.gate, layer.down, act.hidden);
  ops.add_lora(layer_idx, act.gate, {{LoraSite::kDown, act.hidden}});
}

// All layers: `hidden` is left before the final norm, and has the wanted rows at least.
template <class Ops>
void forward_pass(Ops& ops, const ModelConfig& config) {
  ops.embed(ops.activations().hidden);
  for (int32_t layer_idx = 0; layer_idx < config.n_layers; ++layer_idx) {
    if (config.is_parallel) {
      parallel_layer(ops, config, layer_idx);
    } else {
      sequential_layer(ops, config, layer_idx);
    }
  }
}

// logits = Wout norm(h), of the rows that need them.
template <class Ops, class ConstRows, class Rows>
void logits_pass(Ops& ops, const ConstRows& hidden, const Rows& normed) {
  ops.norm_of_rows(hidden, normed);
  ops.output(normed);
}

}  // namespace prefold
