// Aligned groups of four values of a float type, to and from f32.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

namespace prefold::cuda {

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

template <class T>
__device__ T from_float(float x);
template <>
__device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__device__ inline __half from_float<__half>(float x) {
  return __float2half_rn(x);
}
template <>
__device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

// One load or store of a lane: N values, N * sizeof(T) = 8 or 16 bytes.
template <class T, int N>
struct alignas(N * sizeof(T)) FloatVec {
  T v[N];
};

template <class T>
__device__ float4 load4(const T* at) {
  const auto x = *reinterpret_cast<const FloatVec<T, 4>*>(at);
  return {to_float(x.v[0]), to_float(x.v[1]), to_float(x.v[2]), to_float(x.v[3])};
}

template <class T>
__device__ void store4(T* at, float4 x) {
  FloatVec<T, 4> out;
  out.v[0] = from_float<T>(x.x);
  out.v[1] = from_float<T>(x.y);
  out.v[2] = from_float<T>(x.z);
  out.v[3] = from_float<T>(x.w);
  using Bits = std::conditional_t<sizeof(T) == 2, uint64_t, float4>;  // else it may be four stores
  *reinterpret_cast<Bits*>(at) = *reinterpret_cast<const Bits*>(&out);
}

}  // namespace prefold::cuda
