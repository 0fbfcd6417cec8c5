#include "kernels/cuda/elementwise.h"

#include "kernels/cuda/float_vec.cuh"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 256;

// A thread has four columns of one row: blockIdx.x is the row.
__device__ int first_col() { return 4 * static_cast<int>(blockIdx.y * kThreads + threadIdx.x); }

template <class Fn>
__device__ float4 each(float4 x, Fn fn) {
  return {fn(x.x), fn(x.y), fn(x.z), fn(x.w)};
}

template <class T>
__global__ void __launch_bounds__(kThreads) copy_rows(const __grid_constant__ CopyRowsArgs args) {
  const int col = first_col();
  if (col >= args.n_cols) return;
  const int64_t row = blockIdx.x;
  store4(static_cast<T*>(args.out) + row * args.out_stride + col,
         load4(args.x + row * args.x_stride + col));
}

__global__ void __launch_bounds__(kThreads) add_rows(const __grid_constant__ AddRowsArgs args) {
  const int col = first_col();
  if (col >= args.n_cols) return;
  const int64_t row = blockIdx.x;
  const float4 x = load4(args.x + row * args.x_stride + col);
  float* out = args.out + row * args.out_stride + col;
  const float4 old = load4(out);
  store4(out, make_float4(__fmaf_rn(args.scale, x.x, old.x), __fmaf_rn(args.scale, x.y, old.y),
                          __fmaf_rn(args.scale, x.z, old.z), __fmaf_rn(args.scale, x.w, old.w)));
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    reorder_cols(const __grid_constant__ ReorderColsArgs args) {
  const int col = first_col();
  if (col >= args.n_cols) return;
  const int64_t row = blockIdx.x;
  const T* x = static_cast<const T*>(args.x) + row * args.x_stride;
  const int4 from = *reinterpret_cast<const int4*>(args.order + col);
  store4(static_cast<T*>(args.out) + row * args.out_stride + col,
         make_float4(to_float(x[from.x]), to_float(x[from.y]), to_float(x[from.z]),
                     to_float(x[from.w])));
}

// Eight rows at a time are read before any of them is written; those that are read later lie
// behind. A warp a block, for as many blocks as there can be.
template <class T>
__global__ void __launch_bounds__(32) keep_rows(const __grid_constant__ KeepRowsArgs args) {
  constexpr int kAtOnce = 8;
  const int col = 4 * static_cast<int>(blockIdx.x * 32 + threadIdx.x);
  if (col >= args.n_cols) return;
  T* x = static_cast<T*>(args.x) + col;
  for (int first = 0; first < args.n_rows; first += kAtOnce) {
    float4 four[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if (first + i < args.n_rows) four[i] = load4(x + args.rows[first + i] * args.stride);
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if (first + i < args.n_rows) store4(x + (first + i) * args.stride, four[i]);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) clip_rows(const __grid_constant__ ClipRowsArgs args) {
  const int col = first_col();
  if (col >= args.n_cols) return;
  T* x = static_cast<T*>(args.x) + static_cast<int64_t>(blockIdx.x) * args.stride + col;
  // Not fminf and fmaxf, which would make a number of NaN.
  store4(x, each(load4(x), [&](float value) {
           return value > args.limit ? args.limit : value < -args.limit ? -args.limit : value;
         }));
}

__global__ void __launch_bounds__(kThreads) scale_cap(const __grid_constant__ ScaleCapArgs args) {
  const int col = first_col();
  if (col >= args.n_cols) return;
  float* x = args.x + static_cast<int64_t>(blockIdx.x) * args.stride + col;
  float4 four = each(load4(x), [&](float value) { return args.scale * value; });
  if (args.cap > 0.0f) {
    four = each(four, [&](float value) { return args.cap * tanhf(value / args.cap); });
  }
  store4(x, four);
}

dim3 grid_of(int32_t n_rows, int32_t n_cols) {
  return {static_cast<unsigned>(n_rows),
          static_cast<unsigned>((n_cols + 4 * kThreads - 1) / (4 * kThreads))};
}

}  // namespace

cudaError_t launch_copy_rows(const CopyRowsArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  const dim3 grid = grid_of(args.n_rows, args.n_cols);
  switch (args.out_type) {
    case FloatType::kF16:
      copy_rows<__half><<<grid, kThreads, 0, stream>>>(args);
      break;
    case FloatType::kBf16:
      copy_rows<__nv_bfloat16><<<grid, kThreads, 0, stream>>>(args);
      break;
    case FloatType::kF32:
      copy_rows<float><<<grid, kThreads, 0, stream>>>(args);
      break;
  }
  return cudaGetLastError();
}

cudaError_t launch_add_rows(const AddRowsArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  add_rows<<<grid_of(args.n_rows, args.n_cols), kThreads, 0, stream>>>(args);
  return cudaGetLastError();
}

cudaError_t launch_reorder_cols(const ReorderColsArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  const dim3 grid = grid_of(args.n_rows, args.n_cols);
  switch (args.type) {
    case FloatType::kF16:
      reorder_cols<__half><<<grid, kThreads, 0, stream>>>(args);
      break;
    case FloatType::kBf16:
      reorder_cols<__nv_bfloat16><<<grid, kThreads, 0, stream>>>(args);
      break;
    case FloatType::kF32:
      reorder_cols<float><<<grid, kThreads, 0, stream>>>(args);
      break;
  }
  return cudaGetLastError();
}

cudaError_t launch_keep_rows(const KeepRowsArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  const auto n_blocks = static_cast<unsigned>((args.n_cols + 4 * 32 - 1) / (4 * 32));
  switch (args.type) {
    case FloatType::kF16:
      keep_rows<__half><<<n_blocks, 32, 0, stream>>>(args);
      break;
    case FloatType::kBf16:
      keep_rows<__nv_bfloat16><<<n_blocks, 32, 0, stream>>>(args);
      break;
    case FloatType::kF32:
      keep_rows<float><<<n_blocks, 32, 0, stream>>>(args);
      break;
  }
  return cudaGetLastError();
}

cudaError_t launch_clip_rows(const ClipRowsArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  const dim3 grid = grid_of(args.n_rows, args.n_cols);
  switch (args.type) {
    case FloatType::kF16:
      clip_rows<__half><<<grid, kThreads, 0, stream>>>(args);
      break;
    case FloatType::kBf16:
      clip_rows<__nv_bfloat16><<<grid, kThreads, 0, stream>>>(args);
      break;
    case FloatType::kF32:
      clip_rows<float><<<grid, kThreads, 0, stream>>>(args);
      break;
  }
  return cudaGetLastError();
}

cudaError_t launch_scale_cap(const ScaleCapArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  scale_cap<<<grid_of(args.n_rows, args.n_cols), kThreads, 0, stream>>>(args);
  return cudaGetLastError();
}

}  // namespace prefold::cuda
