// Attention with integer products over an int8 KV cache (ops/attention.h) as plain loops: what
// every kernel must equal bit for bit.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace prefold::reference {

// Keys or values of one KV head as an int8 cache keeps them: x ~ scales[j] * quants[j][d].
struct Int8Rows {
  std::vector<int8_t> quants;  // (n_positions, head_dim), in [-127, 127]
  std::vector<float> scales;   // n_positions
};

// x: n_positions rows of head_dim values, `stride` apart.
Int8Rows quantise_kv(const float* x, int64_t stride, int32_t n_positions, int32_t head_dim);

// The online softmax's state of one row and head.
struct SoftmaxState {
  float max = 0.0f;
  float sum = 0.0f;
  std::vector<float> acc;  // head_dim
};

// The state of query q, of head_dim values, after the positions [begin, end) of one chunk, which
// starts at `begin`, of those that are not before first_seen. softcap 0: none.
SoftmaxState attention_int8(std::span<const float> q, const Int8Rows& k, const Int8Rows& v,
                            int32_t begin, int32_t end, float scale, float softcap = 0.0f,
                            int32_t first_seen = 0);

}  // namespace prefold::reference
