#include "kernels/cuda/rope_append.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "plan/row_span.h"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 128;

__device__ __forceinline__ float to_f32(__half x) { return __half2float(x); }
__device__ __forceinline__ float to_f32(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float to_f32(float x) { return x; }

template <typename T>
__device__ __forceinline__ T from_f32(float x);
template <>
__device__ __forceinline__ __half from_f32<__half>(float x) {
  return __float2half_rn(x);
}
template <>
__device__ __forceinline__ __nv_bfloat16 from_f32<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__device__ __forceinline__ float from_f32<float>(float x) {
  return x;
}

template <typename T, int kSize>
struct alignas(sizeof(T) * kSize) Piece {
  T x[kSize];
};

__device__ __forceinline__ void rotate(float cos, float sin, float& x0, float& x1) {
  const float a = __fmaf_rn(x0, cos, -__fmul_rn(x1, sin));
  x1 = __fmaf_rn(x0, sin, __fmul_rn(x1, cos));
  x0 = a;
}

// Rotates pairs (2i, 2i + 1) of one piece; cos and sin are its first pair's.
template <typename T, int kSize>
__device__ __forceinline__ void rotate_piece(const float* cos, const float* sin,
                                             Piece<T, kSize>& piece) {
#pragma unroll
  for (int i = 0; i < kSize / 2; ++i) {
    float x0 = to_f32(piece.x[2 * i]);
    float x1 = to_f32(piece.x[2 * i + 1]);
    rotate(cos[i], sin[i], x0, x1);
    piece.x[2 * i] = from_f32<T>(x0);
    piece.x[2 * i + 1] = from_f32<T>(x1);
  }
}

// Rotates pairs that lie at the same place of two pieces.
template <typename T, int kSize>
__device__ __forceinline__ void rotate_pieces(const float* cos, const float* sin,
                                              Piece<T, kSize>& low, Piece<T, kSize>& high) {
#pragma unroll
  for (int i = 0; i < kSize; ++i) {
    float x0 = to_f32(low.x[i]);
    float x1 = to_f32(high.x[i]);
    rotate(cos[i], sin[i], x0, x1);
    low.x[i] = from_f32<T>(x0);
    high.x[i] = from_f32<T>(x1);
  }
}

// Moves the i-th unit of a head from `from` to `to`: units are pieces of kSize elements, two at
// once where pairs lie apart. The first ones are rotated, if there is anything to rotate with.
template <typename T, int kSize, bool kIsInterleaved>
__device__ __forceinline__ void move_unit(int32_t unit, int32_t n_rotated_units, int32_t rotary_dim,
                                          const float* cos, const float* sin, const T* from,
                                          T* to) {
  using Unit = Piece<T, kSize>;
  const auto load = [&](int32_t at) { return *reinterpret_cast<const Unit*>(from + at); };
  const auto store = [&](int32_t at, const Unit& x) { *reinterpret_cast<Unit*>(to + at) = x; };
  if (unit >= n_rotated_units) {
    const int32_t at = rotary_dim + (unit - n_rotated_units) * kSize;
    store(at, load(at));
    return;
  }
  constexpr int kPairs = kIsInterleaved ? kSize / 2 : kSize;
  Piece<float, kPairs> c = *reinterpret_cast<const Piece<float, kPairs>*>(cos + unit * kPairs);
  Piece<float, kPairs> s = *reinterpret_cast<const Piece<float, kPairs>*>(sin + unit * kPairs);
  Unit low = load(unit * kSize);
  if constexpr (kIsInterleaved) {
    rotate_piece(c.x, s.x, low);
  } else {
    const int32_t high_at = rotary_dim / 2 + unit * kSize;
    Unit high = load(high_at);
    rotate_pieces(c.x, s.x, low, high);
    store(high_at, high);
  }
  store(unit * kSize, low);
}

// One block a row: the rotated units of q's heads, then all units of k's, then pieces of v's.
template <typename T, int kSize, bool kIsInterleaved>
__global__ void __launch_bounds__(kThreads)
    rope_append_kernel(const __grid_constant__ RopeAppendArgs args) {
  const int32_t row = blockIdx.x;
  const int32_t n_rotated = args.rotary_dim / (kIsInterleaved ? kSize : 2 * kSize);
  const int32_t n_units = n_rotated + (args.head_dim - args.rotary_dim) / kSize;
  const int64_t table = int64_t{args.positions[row]} * (args.rotary_dim / 2);
  const float* cos = args.cos + table;
  const float* sin = args.sin + table;

  T* q = static_cast<T*>(args.q) + row * args.q_stride;
  for (int32_t i = threadIdx.x; i < args.n_heads * n_rotated; i += kThreads) {
    T* head = q + i / n_rotated * args.head_dim;
    move_unit<T, kSize, kIsInterleaved>(i % n_rotated, n_rotated, args.rotary_dim, cos, sin, head,
                                        head);
  }
  const int32_t slot = args.kv_slots[row];
  if (slot < 0) return;

  // Head h of the slot begins h * 32 * head_dim elements behind that of head 0.
  const int64_t head_stride = int64_t{kKvBlockTokens} * args.head_dim;
  const int64_t at = slot / kKvBlockTokens * (args.n_kv_heads * head_stride) +
                     slot % kKvBlockTokens * args.head_dim;
  const T* k = static_cast<const T*>(args.k) + row * args.k_stride;
  T* k_cache = static_cast<T*>(args.k_cache) + at;
  for (int32_t i = threadIdx.x; i < args.n_kv_heads * n_units; i += kThreads) {
    const int32_t head = i / n_units;
    move_unit<T, kSize, kIsInterleaved>(i % n_units, n_rotated, args.rotary_dim, cos, sin,
                                        k + head * args.head_dim, k_cache + head * head_stride);
  }
  constexpr int kWhole = 16 / sizeof(T);
  const int32_t n_pieces = args.head_dim / kWhole;
  const T* v = static_cast<const T*>(args.v) + row * args.v_stride;
  T* v_cache = static_cast<T*>(args.v_cache) + at;
  for (int32_t i = threadIdx.x; i < args.n_kv_heads * n_pieces; i += kThreads) {
    *reinterpret_cast<uint4*>(v_cache + i / n_pieces * head_stride + i % n_pieces * kWhole) =
        *reinterpret_cast<const uint4*>(v + i * kWhole);
  }
}

template <typename T, int kSize, bool kIsInterleaved>
cudaError_t launch(const RopeAppendArgs& args, cudaStream_t stream) {
  rope_append_kernel<T, kSize, kIsInterleaved><<<args.n_rows, kThreads, 0, stream>>>(args);
  return cudaGetLastError();
}

// Pieces as large as keep both the pieces of neighbours and their 16 bytes of cosines side by side,
// where the rotated part consists of such.
template <typename T>
cudaError_t launch_of(const RopeAppendArgs& args, cudaStream_t stream) {
  constexpr int kWhole = 16 / sizeof(T);
  if (args.is_interleaved) {
    return args.rotary_dim % kWhole == 0 ? launch<T, kWhole, true>(args, stream)
                                         : launch<T, 2, true>(args, stream);
  }
  return args.rotary_dim / 2 % 4 == 0 ? launch<T, 4, false>(args, stream)
                                      : launch<T, 1, false>(args, stream);
}

}  // namespace

cudaError_t launch_rope_append(const RopeAppendArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  switch (args.type) {
    case FloatType::kF16:
      return launch_of<__half>(args, stream);
    case FloatType::kBf16:
      return launch_of<__nv_bfloat16>(args, stream);
    case FloatType::kF32:
      return launch_of<float>(args, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace prefold::cuda
