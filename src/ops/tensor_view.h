// Views of activations: row-major f32, rows `stride` floats apart. They own nothing.
#pragma once

#include <cstdint>
#include <span>

namespace prefold {

// The stride to give rows that matrix products read, in floats: an odd number of cache lines, so
// that the same column of many rows falls into different sets of the first-level cache.
constexpr int64_t padded_stride(int64_t n_cols) {
  constexpr int64_t kLineFloats = 16;
  return ((n_cols + kLineFloats - 1) / kLineFloats | 1) * kLineFloats;
}

struct Rows {
  float* data = nullptr;
  int32_t n_rows = 0;
  int32_t n_cols = 0;
  int64_t stride = 0;  // in floats, >= n_cols

  float* row(int64_t r) const { return data + r * stride; }
};

struct ConstRows {
  const float* data = nullptr;
  int32_t n_rows = 0;
  int32_t n_cols = 0;
  int64_t stride = 0;

  ConstRows() = default;
  ConstRows(const float* d, int32_t rows, int32_t cols, int64_t s)
      : data(d), n_rows(rows), n_cols(cols), stride(s) {}
  ConstRows(const Rows& r) : data(r.data), n_rows(r.n_rows), n_cols(r.n_cols), stride(r.stride) {}
  const float* row(int64_t r) const { return data + r * stride; }
};

inline Rows first_rows(const Rows& x, int32_t n_rows) {
  return {x.data, n_rows, x.n_cols, x.stride};
}

using ConstVec = std::span<const float>;

}  // namespace prefold
