// A tile of the products of gemm_exact.h.
#pragma once

#include "kernels/cuda/gemm_exact.h"
#include "kernels/cuda/quants.cuh"

namespace prefold::cuda::exact {

inline constexpr int kThreads = 64;
inline constexpr int kTile = 64;  // rows, and outputs, of a block
inline constexpr int kMine = 8;   // of a thread, of both: two runs of 4, half a tile apart
inline constexpr int kK = 32;     // k of a stage
inline constexpr int kHalf = kTile / 2;

// Where element `i` (a row of x, an output of W) of k lies in shared memory. Runs of 4 stay
// together; the bits of k that are mixed in keep apart what a warp writes at a time, both of a
// row-major matrix (8 k that are multiples of 4 apart, of 4 rows) and of a unit of quants (4 k, 2
// apart, of 8 outputs).
__device__ __forceinline__ int place(int k, int i) {
  const int turn = (k >> 4 & 1) | ((k >> 1 ^ k >> 3) & 1) << 1 | ((k >> 2 ^ k >> 4) & 1) << 2;
  return k * kTile + (i ^ turn * 4);
}

// Rows of a row-major matrix: place i has row first + i, or where they are gathered rows[i].
struct Rows {
  const float* from;
  int64_t stride;
  int first;
  int n_rows;  // places that have one
  const int32_t* rows = nullptr;
};

// The 64 rows' values of k on; zeros where there is no row.
template <bool kIsGathered>
__device__ __forceinline__ void load_rows(float* to, const Rows& rows, int k) {
  const int column = threadIdx.x % 8 * 4;
#pragma unroll
  for (int i = 0; i < kTile; i += kThreads / 8) {
    const int row = i + threadIdx.x / 8;
    float4 four = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (row < rows.n_rows) {
      const int at = kIsGathered ? rows.rows[row] : rows.first + row;
      four = __ldg(reinterpret_cast<const float4*>(rows.from + at * rows.stride + k + column));
    }
    to[place(column, row)] = four.x;
    to[place(column + 1, row)] = four.y;
    to[place(column + 2, row)] = four.z;
    to[place(column + 3, row)] = four.w;
  }
}

// The 64 outputs from first_output on of a group of a quantised matrix; zeros where there are none.
template <WeightFormat kFormat>
__device__ __forceinline__ void load_units(float* to, const DeviceMatrix& weight, int first_output,
                                           int k) {
  const int lane = threadIdx.x % 32;
  const int64_t first = static_cast<int64_t>(k / kWeightGroup) * weight.n_out + first_output;
#pragma unroll
  for (int i = 0; i < kTile; i += kThreads / 32 * kWeightUnitOutputs) {
    const int unit = i + threadIdx.x / 32 * kWeightUnitOutputs;
    float values[8] = {};
    if (first_output + unit < weight.n_out) {
      const int64_t at = (first + unit) / kWeightUnitOutputs * 32 + lane;
      load_lane_quants<kFormat>(weight, at)
          .floats(load_scales<kFormat>(weight, first + unit + lane / 4), values);
    }
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      to[place(j / 2 * 8 + lane % 4 * 2 + j % 2, unit + lane / 4)] = values[j];
    }
  }
}

struct Accumulators {
  float sum[kMine][kMine] = {};
};

__device__ __forceinline__ void load_run(const float* shared, int k, int first, float* out) {
#pragma unroll
  for (int run = 0; run < 2; ++run) {
    const float4 four = *reinterpret_cast<const float4*>(shared + place(k, run * kHalf + first));
    out[run * 4] = four.x;
    out[run * 4 + 1] = four.y;
    out[run * 4 + 2] = four.z;
    out[run * 4 + 3] = four.w;
  }
}

__device__ __forceinline__ void multiply_stage(const float* x, const float* w, Accumulators& acc) {
#pragma unroll
  for (int k = 0; k < kK; ++k) {
    float a[kMine], b[kMine];
    load_run(x, k, threadIdx.x / 8 * 4, a);
    load_run(w, k, threadIdx.x % 8 * 4, b);
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
#pragma unroll
      for (int j = 0; j < kMine; ++j) acc.sum[i][j] = __fmaf_rn(a[i], b[j], acc.sum[i][j]);
    }
  }
}

template <class OutRow>
__device__ __forceinline__ void store(const GemmExactArgs& args, const Accumulators& acc,
                                      int first_row, int first_output, const OutRow& out_row) {
#pragma unroll
  for (int i = 0; i < kMine; ++i) {
    const int row = first_row + i / 4 * kHalf + threadIdx.x / 8 * 4 + i % 4;
    if (row >= args.n_rows) continue;
    float* out = args.out + out_row(row) * args.out_stride;
#pragma unroll
    for (int run = 0; run < 2; ++run) {
      const int output = first_output + run * kHalf + threadIdx.x % 8 * 4;
      if (output >= args.linear.weight.n_out) continue;
      const float* sum = acc.sum[i] + run * 4;
      float4 four = make_float4(sum[0], sum[1], sum[2], sum[3]);
      const auto add = [](float4 a, float4 b) {
        return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
      };
      if (args.linear.bias != nullptr) {
        four = add(four, *reinterpret_cast<const float4*>(args.linear.bias + output));
      }
      float4* at = reinterpret_cast<float4*>(out + output);
      if (args.add_to_out) {
        const float scale = args.add_scale;
        four =
            add(*at, make_float4(scale * four.x, scale * four.y, scale * four.z, scale * four.w));
      }
      *at = four;
    }
  }
}

// Rows first_row and outputs first_output on of the product, with these rows of x; row i is row
// out_row(i) of out.
template <WeightFormat kFormat, bool kIsGathered, class OutRow>
__device__ __forceinline__ void multiply_tile(const GemmExactArgs& args, const Rows& x_rows,
                                              int first_row, int first_output,
                                              const OutRow& out_row) {
  __shared__ __align__(16) float x[kK * kTile];
  __shared__ __align__(16) float w[kK * kTile];
  const DeviceMatrix& weight = args.linear.weight;
  Accumulators acc;
  for (int k = 0; k < weight.n_in; k += kK) {
    load_rows<kIsGathered>(x, x_rows, k);
    if constexpr (kFormat == WeightFormat::kDense) {
      load_rows<false>(w,
                       {static_cast<const float*>(weight.values), weight.n_in, first_output,
                        weight.n_out - first_output},
                       k);
    } else {
      load_units<kFormat>(w, weight, first_output, k);
    }
    __syncthreads();
    multiply_stage(x, w, acc);
    __syncthreads();
  }
  store(args, acc, first_row, first_output, out_row);
}

}  // namespace prefold::cuda::exact
