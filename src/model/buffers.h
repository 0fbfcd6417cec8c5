// Buffers of activations, rows a padded stride apart.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/aligned_vector.h"
#include "base/check.h"
#include "ops/tensor_view.h"

namespace prefold {

inline size_t floats_of(int64_t n_rows, int64_t n_cols) {
  return static_cast<size_t>(n_rows * padded_stride(n_cols));
}

inline Rows view(AlignedVector<float>& buffer, int32_t n_rows, int32_t n_cols) {
  CHECK(floats_of(n_rows, n_cols) <= buffer.size());
  return {buffer.data(), n_rows, n_cols, padded_stride(n_cols)};
}

}  // namespace prefold
