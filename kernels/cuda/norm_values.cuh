// What the norms of rows and of heads share: sums of, and the work on, four columns at a time.
#pragma once

#include "kernels/cuda/float_vec.cuh"

namespace prefold::cuda {

// What is taken off every column before it is squared or scaled, and what it is scaled by.
struct NormFactors {
  float mean = 0.0f;  // 0 of an RMS norm
  float inverse = 1.0f;
};

__device__ inline float sum_of(float4 x, float sum) { return sum + x.x + x.y + x.z + x.w; }

__device__ inline float sum_of_squares(float4 x, float mean, float sum) {
  x = {x.x - mean, x.y - mean, x.z - mean, x.w - mean};
  sum = __fmaf_rn(x.x, x.x, sum);
  sum = __fmaf_rn(x.y, x.y, sum);
  sum = __fmaf_rn(x.z, x.z, sum);
  return __fmaf_rn(x.w, x.w, sum);
}

// weight and bias: of these columns, or null.
__device__ inline float4 normed(float4 x, const NormFactors& factors, const float* weight,
                                const float* bias) {
  const float mean = factors.mean, inverse = factors.inverse;
  x = {(x.x - mean) * inverse, (x.y - mean) * inverse, (x.z - mean) * inverse,
       (x.w - mean) * inverse};
  if (weight != nullptr) {
    const float4 w = load4(weight);
    x = {x.x * w.x, x.y * w.y, x.z * w.z, x.w * w.w};
  }
  if (bias != nullptr) {
    const float4 b = load4(bias);
    x = {x.x + b.x, x.y + b.y, x.z + b.z, x.w + b.w};
  }
  return x;
}

}  // namespace prefold::cuda
