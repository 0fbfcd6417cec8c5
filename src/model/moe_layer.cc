#include "model/moe_layer.h"

#include <algorithm>

#include "base/check.h"
#include "model/buffers.h"
#include "ops/elementwise.h"
#include "ops/grouped_linear.h"
#include "ops/linear.h"

namespace prefold {
namespace {

// The shared expert of every row: its first products, and the logits of its gate, are made with the
// router's.
struct SharedRows {
  Rows gate, up, down, logits;
};
SharedRows shared_rows(const MoeConfig& moe, const Rows& x, MoeBuffers& b) {
  SharedRows shared;
  if (moe.shared_ffn_size == 0) return shared;
  shared.gate = view(b.shared_gate, x.n_rows, moe.shared_ffn_size);
  shared.up = view(b.shared_up, x.n_rows, moe.shared_ffn_size);
  shared.down = view(b.shared_down, x.n_rows, x.n_cols);
  if (moe.has_shared_gate) shared.logits = view(b.shared_logits, x.n_rows, 1);
  return shared;
}

LinearPart part(const Linear& w, const Rows& out) { return {&w.weight, w.bias, out, false}; }

// What each row's logits and its shared expert need of it, in one go.
void linear_of_rows(const Device& device, const MoeWeights& weights, const Rows& x,
                    const Rows& logits, const SharedRows& shared, std::span<std::byte> scratch) {
  LinearPart parts[4] = {part(weights.router, logits)};
  size_t n_parts = 1;
  if (shared.gate.n_rows > 0) {
    parts[n_parts++] = part(weights.shared_gate, shared.gate);
    parts[n_parts++] = part(weights.shared_up, shared.up);
  }
  if (shared.logits.n_rows > 0) parts[n_parts++] = part(weights.shared_router, shared.logits);
  linear(device, x, std::span(parts).first(n_parts), scratch);
}

}  // namespace

size_t MoeBuffers::bytes() const {
  return sizeof(float) *
             (logits.size() + gate.size() + up.size() + down.size() + shared_gate.size() +
              shared_up.size() + shared_down.size() + shared_logits.size()) +
         sizeof(int32_t) * (routes.experts.size() + routes.weights.size() + routes.places.size() +
                            routes.rows.size() + routes.first.capacity() +
                            routes.matrix.capacity() + routes.sizes.size() + routes.by_size.size());
}

MoeBuffers allocate_moe_buffers(const MoeConfig& moe, int32_t hidden_size, int32_t max_rows) {
  MoeBuffers b;
  if (moe.n_experts == 0) return b;
  const int64_t max_places = int64_t{max_rows} * moe.n_used;
  b.routes = allocate_routes(max_rows, moe.n_experts, moe.n_used);
  b.logits.resize(floats_of(max_rows, moe.n_experts));
  b.gate.resize(floats_of(max_places, moe.ffn_size));
  b.up.resize(floats_of(max_places, moe.ffn_size));
  b.down.resize(floats_of(max_places, hidden_size));
  if (moe.shared_ffn_size == 0) return b;
  b.shared_gate.resize(floats_of(max_rows, moe.shared_ffn_size));
  b.shared_up.resize(floats_of(max_rows, moe.shared_ffn_size));
  b.shared_down.resize(floats_of(max_rows, hidden_size));
  if (moe.has_shared_gate) b.shared_logits.resize(floats_of(max_rows, 1));
  return b;
}

size_t moe_scratch_bytes(const Device& device, const MoeConfig& moe, int32_t hidden_size,
                         int32_t max_rows) {
  if (moe.n_experts == 0) return 0;
  return std::max(
      grouped_linear_scratch_bytes(device, max_rows * moe.n_used,
                                   std::max(hidden_size, moe.ffn_size)),
      linear_scratch_bytes(device, max_rows, std::max(hidden_size, moe.shared_ffn_size)));
}

void moe_layer(const Device& device, const ModelConfig& config, const MoeWeights& weights,
               const Rows& x, MoeBuffers& buffers, std::span<std::byte> scratch, const Rows& out) {
  const MoeConfig& moe = config.moe;
  const int32_t n_places = x.n_rows * moe.n_used;
  const Rows logits = view(buffers.logits, x.n_rows, moe.n_experts);
  const SharedRows shared = shared_rows(moe, x, buffers);
  linear_of_rows(device, weights, x, logits, shared, scratch);

  ExpertRoutes& routes = buffers.routes;
  route(device, logits, moe.normalise_weights, routes);
  group_rows(device.moe_grouping, x.n_rows, routes);

  const Rows expert_gate = view(buffers.gate, n_places, moe.ffn_size);
  const Rows expert_up = view(buffers.up, n_places, moe.ffn_size);
  const Rows expert_out = view(buffers.down, n_places, config.hidden_size);
  const GroupedPart first[] = {{weights.gate, expert_gate}, {weights.up, expert_up}};
  grouped_linear(device, x, routes.groups, first, scratch);
  gate(device, config.activation, expert_gate, expert_up);
  const GroupedPart second{weights.down, expert_out};
  grouped_linear(device, expert_gate, {routes.groups.first, routes.groups.matrix, {}}, {&second, 1},
                 scratch);

  if (moe.shared_ffn_size > 0) {
    gate(device, config.activation, shared.gate, shared.up);
    const LinearPart down = part(weights.shared_down, shared.down);
    linear(device, shared.gate, {&down, 1}, scratch);
  }
  combine_experts(device, routes, expert_out, {shared.down, shared.logits}, out);
}

}  // namespace prefold
