#include "kernels/reference/attention_int8.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace prefold::reference {
namespace {

constexpr int32_t kTile = 32;

float largest_magnitude(const float* x, int32_t n) {
  float largest = 0.0f;
  for (int32_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
  return largest;
}

// e^x for x of at most about 0: 2^n times a polynomial in r, where n + r = x log2(e).
float exp_nonpositive(float x) {
  const float log2_e = 1.44269504088896341f;
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float clamped = std::max(x, -87.0f);
  const float n = std::fma(clamped, log2_e, magic) - magic;
  const float r = std::fma(clamped, log2_e, -n);
  float p = 1.3264727e-3f;
  for (const float c : {9.6715130e-3f, 5.5507336e-2f, 2.4022242e-1f, 6.9314700e-1f, 1.0f}) {
    p = std::fma(p, r, c);
  }
  return std::ldexp(p, static_cast<int>(n));
}

// Within 3e-7 of tanh(x), relatively, by the operations of kernels/cpu/simd.h.
float tanh_of(float x) {
  const float a = std::clamp(x, -8.7f, 8.7f), square = a * a;
  float p = -1.290258344e-11f, q = 1.31404723e-6f;
  for (const float c :
       {3.1509987e-8f, 2.838718741e-5f, 3.887023784e-3f, 0.13694806f, 0.9999999991f}) {
    p = std::fma(p, square, c);
  }
  for (const float c : {3.971679215e-4f, 2.731416643e-2f, 0.4702813846f, 1.0f}) {
    q = std::fma(q, square, c);
  }
  return std::clamp(a * p / q, -1.0f, 1.0f);
}

// By the tree of kernels/cpu/simd.h: first j with j + 16, then with j + 8, 4, 2, 1.
float sum_tile(const float* p) {
  float sums[kTile];
  std::copy(p, p + kTile, sums);
  for (int32_t half = kTile / 2; half > 0; half /= 2) {
    for (int32_t j = 0; j < half; ++j) sums[j] = sums[j] + sums[j + half];
  }
  return sums[0];
}

}  // namespace

Int8Rows quantise_kv(const float* x, int64_t stride, int32_t n_positions, int32_t head_dim) {
  Int8Rows rows;
  for (int64_t j = 0; j < n_positions; ++j) {
    const float largest = largest_magnitude(x + j * stride, head_dim);
    const bool any = largest > 1e-30f;
    const float inverse = any ? 127.0f / largest : 0.0f;
    for (int32_t d = 0; d < head_dim; ++d) {
      const float value = std::clamp(x[j * stride + d] * inverse, -127.0f, 127.0f);
      rows.quants.push_back(static_cast<int8_t>(std::nearbyint(value)));  // half to even
    }
    rows.scales.push_back(any ? largest / 127.0f : 0.0f);
  }
  return rows;
}

SoftmaxState attention_int8(std::span<const float> q, const Int8Rows& k, const Int8Rows& v,
                            int32_t begin, int32_t end, float scale, float softcap,
                            int32_t first_seen) {
  const int32_t head_dim = static_cast<int32_t>(q.size());
  const float largest_q = largest_magnitude(q.data(), head_dim);
  const bool any = largest_q > 0x1p-100f;
  const float q_factor = any ? largest_q * (1.0f / 127.0f) * scale : 0.0f;
  const float factor = softcap == 0.0f ? q_factor : 1.0f;
  std::vector<int32_t> quants(q.size());
  for (size_t d = 0; any && d < q.size(); ++d) {
    quants[d] = static_cast<int32_t>(std::nearbyint(q[d] * (127.0f / largest_q)));
  }
  SoftmaxState state{-std::numeric_limits<float>::infinity(), 0.0f,
                     std::vector<float>(q.size(), 0.0f)};
  for (int32_t tile = begin; tile < end; tile += kTile) {
    const int32_t n = std::min(kTile, end - tile);
    const int32_t first = std::max(first_seen - tile, 0);
    if (first >= n) continue;
    float scores[kTile], p[kTile] = {}, w[kTile] = {};
    for (int32_t j = first; j < n; ++j) {
      const int8_t* key = k.quants.data() + int64_t{tile + j} * head_dim;
      int32_t dot = 0;
      for (int32_t d = 0; d < head_dim; ++d) dot += quants[static_cast<size_t>(d)] * key[d];
      scores[j] = static_cast<float>(dot) * k.scales[static_cast<size_t>(tile + j)];
      if (softcap != 0.0f) {
        scores[j] = softcap * tanh_of(scores[j] * (q_factor * (1.0f / softcap)));
      }
    }
    const float new_max =
        std::max(state.max, *std::max_element(scores + first, scores + n) * factor);
    const float shrink = exp_nonpositive(state.max - new_max);
    for (int32_t j = first; j < n; ++j) {
      p[j] = exp_nonpositive(std::fma(scores[j], factor, -new_max));
      w[j] = p[j] * v.scales[static_cast<size_t>(tile + j)];
    }
    const float largest = *std::max_element(w, w + n);
    const bool any_w = largest > 0x1p-100f;
    const float inverse = any_w ? 255.0f / largest : 0.0f;
    const float w_scale = any_w ? largest * (1.0f / 255.0f) : 0.0f;
    state.max = new_max;
    state.sum = state.sum * shrink + sum_tile(p);
    for (int32_t d = 0; d < head_dim; ++d) {
      int32_t dot = 0;
      for (int32_t j = 0; j < n; ++j) {
        // Rounded once, half to even.
        const float rounded = std::fma(w[j], inverse, 8388608.0f) - 8388608.0f;
        dot += static_cast<int32_t>(rounded) * v.quants[int64_t{tile + j} * head_dim + d];
      }
      float& acc = state.acc[static_cast<size_t>(d)];
      acc = std::fma(static_cast<float>(dot), w_scale, acc * shrink);
    }
  }
  return state;
}

}  // namespace prefold::reference
