// Attention as the textbook has it, in double: the truth that the fast kernels come close to.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace prefold::reference {

// One query row, all heads: softmax(q k^T * scale) v over n_positions positions.
// q: (n_heads * head_dim); k, v: (n_positions, n_kv_heads * head_dim).
// Head h reads KV head h / (n_heads / n_kv_heads). Returns (n_heads * head_dim).
// softcap: scores become cap * tanh(score / cap); 0: none. Positions before first_seen are left
// out.
std::vector<double> attention(std::span<const float> q, std::span<const float> k,
                              std::span<const float> v, int32_t n_positions, int32_t n_heads,
                              int32_t n_kv_heads, int32_t head_dim, double scale,
                              double softcap = 0.0, int32_t first_seen = 0);

}  // namespace prefold::reference
