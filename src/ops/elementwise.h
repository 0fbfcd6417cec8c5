// The small ops of a transformer layer. Reductions over a row run on 16 lanes and one tree, so that
// a row's bits depend on the row alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/device.h"
#include "ops/tensor_view.h"

namespace prefold {

// kRms: x / sqrt(mean(x^2) + eps) * weight.
// kLayer: (x - mean(x)) / sqrt(var(x) + eps) * weight + bias.
enum class NormKind { kRms, kLayer };

// Weight and bias may be empty: 1 and 0.
struct NormParams {
  NormKind kind = NormKind::kRms;
  float eps = 0.0f;
  ConstVec weight, bias;
};

// Each row by itself. out may be x.
void norm(const Device& device, ConstRows x, const NormParams& params, Rows out);

// Each head of x, (n_rows, n_heads * head_dim), by itself and in place. The parameters hold
// head_dim values, the same for each head, or n_heads * head_dim.
void norm_heads(const Device& device, const NormParams& params, int32_t head_dim, Rows x);

// out += factor * norm(x). x is overwritten.
void add_norm(const Device& device, Rows x, const NormParams& params, float factor, Rows out);

// out += factor * x
void add_scaled(const Device& device, ConstRows x, float factor, Rows out);

// x *= factor
void scale_rows(const Device& device, float factor, Rows x);

// out[c] = x[order[c]] in each row, for x.n_cols columns. out is not x.
void reorder_columns(const Device& device, ConstRows x, std::span<const int32_t> order, Rows out);

// Each value is clamped to [-limit, limit].
void clip(const Device& device, float limit, Rows x);

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

// gate = act(gate) * up
void gate(const Device& device, Activation activation, Rows gate, ConstRows up);

// x = act(x)
void activate(const Device& device, Activation activation, Rows x);

}  // namespace prefold
