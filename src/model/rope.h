// The angles of rotary position embeddings (RoPE, arXiv 2104.09864) with their context extensions.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"
#include "ops/elementwise.h"

namespace prefold {

// Radians per position of each rotated pair, rotary_dim / 2 values: theta^(-2i / rotary_dim),
// divided by the pair's frequency factor where there are any (llama3), then scaled:
//   linear  all divided by the factor (position interpolation, arXiv 2306.15595)
//   dynamic theta grown so that max_len positions fit (NTK-aware, r/LocalLLaMA 14lz7j5)
//   longrope  frequency_factors where max_len is at most original_context, else the long ones
//           (arXiv 2402.13753)
//   yarn    low frequencies divided by the factor, high ones kept, a ramp between the pairs that
//           turn beta_slow and beta_fast times in the original context (arXiv 2309.00071)
// max_len: the longest sequence that the run allows by its options, whatever memory there is.
std::vector<double> rope_frequencies(const RopeConfig& config, int32_t max_len);

// What cosines and sines are multiplied by: 1, for yarn attn_factor * (0.1 ln(factor) + 1), for
// longrope attn_factor.
double rope_magnitude(const RopeConfig& config);

// Computed in double, rounded once.
RopeTable make_rope_table(const RopeConfig& config, int32_t n_positions, int32_t max_len);

// One for each of the model's.
std::vector<RopeTable> make_rope_tables(const ModelConfig& model, int32_t n_positions,
                                        int32_t max_len);

}  // namespace prefold
