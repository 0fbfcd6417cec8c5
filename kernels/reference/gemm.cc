#include "kernels/reference/gemm.h"

#include <cmath>

namespace prefold::reference {

void gemm(const float* x, int64_t x_stride, int32_t n_rows, const float* w, int32_t n_out,
          int32_t n_in, const float* bias, bool add_to_out, float* out, int64_t out_stride) {
  for (int64_t m = 0; m < n_rows; ++m) {
    for (int64_t n = 0; n < n_out; ++n) {
      float acc = 0.0f;
      for (int64_t k = 0; k < n_in; ++k) {
        acc = std::fma(x[m * x_stride + k], w[n * n_in + k], acc);
      }
      if (bias != nullptr) acc = acc + bias[n];
      float& y = out[m * out_stride + n];
      y = add_to_out ? y + acc : acc;
    }
  }
}

}  // namespace prefold::reference
