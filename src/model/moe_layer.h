// A layer of experts on the CPU: the products between the ops of ops/moe.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/aligned_vector.h"
#include "model/config.h"
#include "model/weights.h"
#include "ops/device.h"
#include "ops/moe.h"
#include "ops/tensor_view.h"

namespace prefold {

// Allocated once, for the rows of a step and n_used places for each.
struct MoeBuffers {
  ExpertRoutes routes;
  AlignedVector<float> logits;          // of the router
  AlignedVector<float> gate, up, down;  // of all places
  AlignedVector<float> shared_gate, shared_up, shared_down, shared_logits;
  size_t bytes() const;
};
MoeBuffers allocate_moe_buffers(const MoeConfig& moe, int32_t hidden_size, int32_t max_rows);

// Bytes of scratch that moe_layer needs.
size_t moe_scratch_bytes(const Device& device, const MoeConfig& moe, int32_t hidden_size,
                         int32_t max_rows);

// out = the weighted sum of what a row's experts make of it, as forward_pass.h says. out is not x.
void moe_layer(const Device& device, const ModelConfig& config, const MoeWeights& weights,
               const Rows& x, MoeBuffers& buffers, std::span<std::byte> scratch, const Rows& out);

}  // namespace prefold
