// The matrix product with 8-bit inputs (kernels/cpu/gemm_int8.h) as plain loops: what every kernel
// must equal bit for bit.
#pragma once

#include <cstdint>

#include "kernels/reference/dequantize.h"

namespace prefold::reference {

// As reference::gemm, over quantised weights (n_out, n_in): group_k (16 or 32) of them in a row
// share scale and minimum. has_min tells whether the type has minimums.
void gemm_int8(const float* x, int64_t x_stride, int32_t n_rows, const Quantised* w, int32_t n_out,
               int32_t n_in, int32_t group_k, bool has_min, const float* bias, bool add_to_out,
               float* out, int64_t out_stride);

}  // namespace prefold::reference
