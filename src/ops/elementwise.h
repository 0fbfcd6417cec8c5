// The small ops of a transformer layer. Reductions over a row run on 16 lanes and one tree, so that
// a row's bits depend on the row alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/device.h"
#include "ops/tensor_view.h"

namespace prefold {

// out = x / sqrt(mean(x^2) + eps) * gamma, each row by itself. out may be x.
void rmsnorm(const Device& device, ConstRows x, ConstVec gamma, float eps, Rows out);

// Which elements of a head form a rotated pair: (2i, 2i + 1), or (i, i + rotary_dim / 2).
enum class RopeKind { kInterleaved, kHalf };

// Cosines and sines of every position up to a maximum: (n_positions, rotary_dim / 2) each.
// Built once per run, in double, rounded to f32.
struct RopeTable {
  RopeKind kind = RopeKind::kInterleaved;
  int32_t rotary_dim = 0;
  int32_t n_positions = 0;
  std::vector<float> cos, sin;
};

// Rotates the first rotary_dim elements of every head in place. x: (n_rows, n_heads * head_dim).
void rope(const Device& device, const RopeTable& table, std::span<const int32_t> positions,
          int32_t head_dim, Rows x);

// gate = silu(gate) * up
void silu_mul(const Device& device, Rows gate, ConstRows up);

}  // namespace prefold
