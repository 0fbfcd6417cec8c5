// The matrix product as plain loops: what every kernel must equal bit for bit.
#pragma once

#include <cstdint>

namespace prefold::reference {

// out[m][n] = chain of std::fma over k = 0 .. n_in - 1 of x[m][k] * w[n][k] from 0, + bias[n] if
// bias is not null, + the old out[m][n] if add_to_out. w: (n_out, n_in) in f32.
void gemm(const float* x, int64_t x_stride, int32_t n_rows, const float* w, int32_t n_out,
          int32_t n_in, const float* bias, bool add_to_out, float* out, int64_t out_stride);

}  // namespace prefold::reference
