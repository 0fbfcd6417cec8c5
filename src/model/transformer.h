// The forward pass (forward_pass.h) over packed rows on the CPU.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/aligned_vector.h"
#include "model/config.h"
#include "model/lora_layer.h"
#include "model/moe_layer.h"
#include "model/weights.h"
#include "ops/attention.h"
#include "ops/device.h"
#include "ops/linear.h"
#include "ops/tensor_view.h"
#include "plan/kept_rows.h"
#include "plan/row_span.h"

namespace prefold {

// The rows of one step, as the forward pass needs them: token ids resolved. The spans cover the
// first rows; those behind them are padding, which attention and the KV cache leave out.
struct PackedRows {
  std::span<const int32_t> token_ids;
  std::span<const int32_t> positions;
  std::span<const RowSpan> spans;
  std::span<const int32_t> block_ids;
  std::span<const SharedSegment> segments;
  std::span<const AdapterRows> adapters;  // as StepPlan::adapters
  std::span<const int32_t> wanted;        // rows whose hidden state is asked for, ascending
};

// Every buffer that a step needs, allocated once for a token budget.
struct Workspace {
  int32_t max_rows = 0;
  AlignedVector<float> hidden, normed, q, k, v, attended, gate, up;
  AlignedVector<float> branch;       // empty where the model has no use for it
  AlignedVector<float> reordered;    // a product's inputs in another order; likewise
  MoeBuffers moe;                    // likewise
  LoraBuffers lora;                  // empty without adapters
  KeptRows kept;                     // of the last layer
  AlignedVector<std::byte> scratch;  // of linear and attention, which never run at once
  size_t bytes() const;
};
Workspace allocate_workspace(const Device& device, const ModelConfig& config,
                             const Weights& weights, int32_t max_rows);

// Where the time of the forward passes went, in seconds. linear: layers of experts too.
struct OpTimes {
  double linear = 0, attention = 0, kv_append = 0, elementwise = 0, lm_head = 0;
};

// Runs all layers, with a rotary table for each of config.ropes; the KV of every row in a span is
// appended to the cache. The result is the hidden state before the final norm, of the wanted rows
// or of all: (wanted.size() or n_rows, hidden_size), valid until the next call.
ConstRows forward(const Device& device, const ModelConfig& config, const Weights& weights,
                  std::span<const RopeTable> rope_tables, const PackedRows& rows,
                  std::span<const KvLayer> kv, Workspace& workspace, OpTimes& times);

// What a step's forward pass leaves: hidden states, and which of them each wanted row's is.
struct StepHidden {
  ConstRows rows;
  std::span<const int32_t> place;
};

// The final norm of rows of `hidden`, as the LM head and embeddings read them. out may be hidden.
void final_norm(const Device& device, const ModelConfig& config, const Weights& weights,
                ConstRows hidden, const Rows& out);

// The first rows of workspace.normed, which between forward passes is anyone's to use.
Rows normed_rows(const ModelConfig& config, int32_t n_rows, Workspace& workspace);

// Final norm and LM head of the given rows of `hidden` only. `fn` is called with each tile of their
// logits (linear_tiles): its rows count in `rows`, its columns are token ids. The logits of the
// first kept.n_rows of them are written to `kept`, those of the others are never in memory as a
// whole.
void logits_of_rows(const Device& device, const ModelConfig& config, const Weights& weights,
                    ConstRows hidden, std::span<const int32_t> rows, const Rows& kept,
                    Workspace& workspace, const LinearTileFn& fn, OpTimes& times);

}  // namespace prefold
