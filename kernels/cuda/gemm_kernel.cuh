// The kernel of gemm.h, a template over T, the weights' format and the tile.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/quants.cuh"
#include "kernels/cuda/tensor_core.cuh"

namespace prefold::cuda {

inline constexpr int kGemmThreads = 128;
inline constexpr int kGemmSharedBytes = 48 * 1024;

// A block's kRows x kOutputs outputs, kRows / kWarpRows x kOutputs / kWarpOutputs warps, kK of k a
// stage.
template <int kRows_, int kOutputs_, int kWarpRows_, int kWarpOutputs_, int kK_>
struct GemmShape {
  static constexpr int kRows = kRows_, kOutputs = kOutputs_, kK = kK_;
  static constexpr int kWarpRows = kWarpRows_, kWarpOutputs = kWarpOutputs_;
  static constexpr int kWarpsOverOutputs = kOutputs / kWarpOutputs;
  static_assert(kRows / kWarpRows * kWarpsOverOutputs * 32 == kGemmThreads);
};

// Shared memory of one stage: x, then weights (dense ones row-major like x, or units of quants),
// then scales; all by 32 k except the row-major parts.
template <class Shape, WeightFormat kFormat>
struct GemmStage {
  static constexpr bool kDense = kFormat == WeightFormat::kDense;
  static constexpr int kGroups = Shape::kK / kWeightGroup;
  static constexpr int kRowBytes = Shape::kK * 2;
  static constexpr int kUnitBytes = unit_bytes(kFormat), kScaleBytes = scale_bytes(kFormat);
  static constexpr int kOutputBytes = kUnitBytes / kWeightUnitOutputs;  // of a group's quants
  static constexpr int kUnitsBytes = Shape::kOutputs * kOutputBytes;    // of one group
  static constexpr int kScalesBytes = kDense ? 0 : Shape::kOutputs * kScaleBytes;
  static constexpr int kWeightOffset = Shape::kRows * kRowBytes;
  static constexpr int kScaleOffset =
      kWeightOffset + (kDense ? Shape::kOutputs * kRowBytes : kGroups * kUnitsBytes);
  static constexpr int kBytes = kScaleOffset + kGroups * kScalesBytes;
  static constexpr int kStages = std::min(8, kGemmSharedBytes / kBytes);
  static_assert(kStages >= 2);
};

// Where chunk (16 bytes) `chunk` of row `row` lies among rows of kRowBytes: permuted so that a
// chunk of 8 consecutive rows, and 8 consecutive chunks, are in different banks.
template <int kRowBytes>
__device__ __forceinline__ int swizzled(int row, int chunk) {
  static_assert(kRowBytes == 64 || kRowBytes % 128 == 0);
  const int turn = kRowBytes == 64 ? row >> 1 & 3 : row & 7;
  return row * kRowBytes + (chunk ^ turn) * 16;
}

// Rows [first_row, first_row + kRows) and k [k, k + kK) of a row-major matrix to shared memory;
// zeros where there are none.
template <int kRows, int kK>
__device__ __forceinline__ void copy_rows(uint32_t to, const void* from, int64_t stride, int n_rows,
                                          int n_k, int first_row, int k) {
  constexpr int kRowChunks = kK / 8;
  static_assert(kRows * kRowChunks % kGemmThreads == 0 && kGemmThreads % kRowChunks == 0);
  const int chunk = threadIdx.x % kRowChunks;
  const int row = threadIdx.x / kRowChunks;
  const char* source =
      static_cast<const char*>(from) + ((first_row + row) * stride + k + chunk * 8) * 2;
#pragma unroll
  for (int i = 0; i < kRows; i += kGemmThreads / kRowChunks) {
    const bool valid = first_row + row + i < n_rows && k + chunk * 8 < n_k;
    copy_16_async(to + swizzled<kK * 2>(row + i, chunk), valid ? source + i * stride * 2 : from,
                  valid);
  }
}

// kGroups pieces of kPieceBytes, pitch bytes apart in global memory, of which `valid_bytes` are
// there in each of the first n_pieces; zeros elsewhere.
template <int kGroups, int kPieceBytes>
__device__ __forceinline__ void copy_pieces(uint32_t to, const char* from, int64_t pitch,
                                            int n_pieces, int64_t valid_bytes) {
  constexpr int kPieceChunks = kPieceBytes / 16;
  constexpr int kChunks = kGroups * kPieceChunks;
#pragma unroll
  for (int i = 0; i < kChunks; i += kGemmThreads) {
    const int idx = i + threadIdx.x;
    if (kChunks % kGemmThreads != 0 && idx >= kChunks) break;
    const int piece = idx / kPieceChunks, offset = idx % kPieceChunks * 16;
    const bool valid = piece < n_pieces && offset < valid_bytes;
    copy_16_async(to + idx * 16, valid ? from + piece * pitch + offset : from, valid);
  }
}

template <class T, WeightFormat kFormat, class Shape>
class GemmBlock {
 public:
  using Stage = GemmStage<Shape, kFormat>;

  __device__ __forceinline__ GemmBlock(const GemmArgs& args, char* shared)
      : args_(args),
        shared_(shared),
        stages_(shared_address(shared)),
        lane_(threadIdx.x % 32),
        first_row_(blockIdx.x * Shape::kRows),
        first_output_(blockIdx.y * Shape::kOutputs),
        warp_row_(threadIdx.x / 32 / Shape::kWarpsOverOutputs * Shape::kWarpRows),
        warp_output_(threadIdx.x / 32 % Shape::kWarpsOverOutputs * Shape::kWarpOutputs) {}

  __device__ __forceinline__ void run() {
    const int n_stages = (args_.linear.weight.n_in + Shape::kK - 1) / Shape::kK;
#pragma unroll
    for (int i = 0; i < Stage::kStages - 1; ++i) {
      if (i < n_stages) copy_stage(i, i);
      commit_copies();
    }
    int slot = 0, free_slot = Stage::kStages - 1;
    for (int i = 0; i < n_stages; ++i) {
      wait_copies<Stage::kStages - 2>();
      __syncthreads();  // stage i is there for all, and all have done with stage i - 1
      if (i + Stage::kStages - 1 < n_stages) copy_stage(i + Stage::kStages - 1, free_slot);
      commit_copies();
      multiply_stage(stages_ + slot * Stage::kBytes, i * Shape::kK);
      free_slot = slot;
      slot = slot + 1 == Stage::kStages ? 0 : slot + 1;
    }
    if (args_.output == GemmOutput::kStore) {
      store();
    } else {
      store_f32();
    }
  }

 private:
  static constexpr int kRowTiles = Shape::kWarpRows / 16;
  static constexpr int kOutputTiles = Shape::kWarpOutputs / 8;

  __device__ __forceinline__ void copy_stage(int stage, int slot) {
    const DeviceMatrix& weight = args_.linear.weight;
    const uint32_t to = stages_ + slot * Stage::kBytes;
    const int k = stage * Shape::kK;
    copy_rows<Shape::kRows, Shape::kK>(to, args_.x, args_.x_stride, args_.n_rows, weight.n_in,
                                       first_row_, k);
    if constexpr (kFormat == WeightFormat::kDense) {
      copy_rows<Shape::kOutputs, Shape::kK>(to + Stage::kWeightOffset, weight.values, weight.n_in,
                                            weight.n_out, weight.n_in, first_output_, k);
    } else {
      const int group = k / kWeightGroup, n_groups = weight.n_in / kWeightGroup - group;
      const int n_outputs = weight.n_out - first_output_;
      const int64_t at = static_cast<int64_t>(group) * weight.n_out + first_output_;
      copy_pieces<Stage::kGroups, Stage::kUnitsBytes>(
          to + Stage::kWeightOffset,
          static_cast<const char*>(weight.values) + at * Stage::kOutputBytes,
          static_cast<int64_t>(weight.n_out) * Stage::kOutputBytes, n_groups,
          n_outputs * Stage::kOutputBytes);
      copy_pieces<Stage::kGroups, Stage::kScalesBytes>(
          to + Stage::kScaleOffset,
          static_cast<const char*>(weight.scales) + at * Stage::kScaleBytes,
          static_cast<int64_t>(weight.n_out) * Stage::kScaleBytes, n_groups,
          n_outputs * Stage::kScaleBytes);
    }
  }

  __device__ __forceinline__ void multiply_stage(uint32_t stage, int k) {
#pragma unroll
    for (int group = 0; group < Stage::kGroups; ++group) {
      if (Stage::kGroups > 1 && k + group * kWeightGroup >= args_.linear.weight.n_in) break;
      uint32_t x[2][kRowTiles][4];
#pragma unroll
      for (int step = 0; step < 2; ++step) {
#pragma unroll
        for (int i = 0; i < kRowTiles; ++i) {
          const int row = warp_row_ + i * 16 + lane_ % 16;
          const int chunk = group * 4 + step * 2 + lane_ / 16;
          load_matrices(stage + swizzled<Stage::kRowBytes>(row, chunk), x[step][i]);
        }
      }
#pragma unroll
      for (int j = 0; j < kOutputTiles; ++j) {
        uint32_t w[4];
        load_weights(stage, group, j, w);
#pragma unroll
        for (int step = 0; step < 2; ++step) {
#pragma unroll
          for (int i = 0; i < kRowTiles; ++i) {
            multiply_add<T>(acc_[i][j], x[step][i], w[2 * step], w[2 * step + 1]);
          }
        }
      }
    }
  }

  // The B operands of both k16 steps of a group, of the warp's j-th 8 outputs.
  __device__ __forceinline__ void load_weights(uint32_t stage, int group, int j,
                                               uint32_t (&w)[4]) const {
    const int output = warp_output_ + j * 8;
    if constexpr (kFormat == WeightFormat::kDense) {
      load_matrices(stage + Stage::kWeightOffset +
                        swizzled<Stage::kRowBytes>(output + lane_ % 8, group * 4 + lane_ / 8),
                    w);
    } else {
      const uint32_t unit =
          stage + Stage::kWeightOffset + group * Stage::kUnitsBytes + output * Stage::kOutputBytes;
      const uint32_t scale = stage + Stage::kScaleOffset + group * Stage::kScalesBytes +
                             (output + lane_ / 4) * Stage::kScaleBytes;
      LaneQuants<kFormat> quants;
      uint32_t scales;
      if constexpr (kFormat == WeightFormat::kW4) {
        asm volatile("ld.shared.b32 %0, [%1];\n"
                     : "=r"(quants.word)
                     : "r"(unit + lane_ * 4)
                     : "memory");
        asm volatile("ld.shared.b32 %0, [%1];\n" : "=r"(scales) : "r"(scale) : "memory");
      } else {
        asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];\n"
                     : "=r"(quants.words.x), "=r"(quants.words.y)
                     : "r"(unit + lane_ * 8)
                     : "memory");
        uint16_t half;
        asm volatile("ld.shared.b16 %0, [%1];\n" : "=h"(half) : "r"(scale) : "memory");
        scales = half;
      }
      dequantize<T>(quants, scales, w);
    }
  }

  // Lanes hold pairs of neighbouring outputs of rows `row` and `row` + 8 of every 16 x 8 tile.
  __device__ __forceinline__ float2 biased(int i, int j, int half) const {
    float2 sum = make_float2(acc_[i][j][2 * half], acc_[i][j][2 * half + 1]);
    const int output = first_output_ + warp_output_ + j * 8 + lane_ % 4 * 2;
    if (args_.linear.bias != nullptr && output < args_.linear.weight.n_out) {
      const float2 bias = *reinterpret_cast<const float2*>(args_.linear.bias + output);
      sum.x += bias.x;
      sum.y += bias.y;
    }
    return sum;
  }

  __device__ __forceinline__ void store_f32() const {
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = first_row_ + warp_row_ + i * 16 + half * 8 + lane_ / 4;
        if (row >= args_.n_rows) continue;
#pragma unroll
        for (int j = 0; j < kOutputTiles; ++j) {
          const int output = first_output_ + warp_output_ + j * 8 + lane_ % 4 * 2;
          if (output >= args_.linear.weight.n_out) continue;
          float2* at = reinterpret_cast<float2*>(static_cast<float*>(args_.out) +
                                                 row * args_.out_stride + output);
          float2 sum = biased(i, j, half);
          if (args_.output == GemmOutput::kAddF32) {
            sum.x = at->x + sum.x;
            sum.y = at->y + sum.y;
          }
          *at = sum;
        }
      }
    }
  }

  // Through shared memory, so that whole sectors are written.
  __device__ __forceinline__ void store() {
    constexpr int kRowBytes = Shape::kOutputs * 2, kRowChunks = kRowBytes / 16;
    static_assert(Shape::kRows * kRowBytes <= Stage::kStages * Stage::kBytes);
    wait_copies<0>();
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = warp_row_ + i * 16 + half * 8 + lane_ / 4;
#pragma unroll
        for (int j = 0; j < kOutputTiles; ++j) {
          const float2 sum = biased(i, j, half);
          const int at = swizzled<kRowBytes>(row, warp_output_ / 8 + j) + lane_ % 4 * 4;
          *reinterpret_cast<uint32_t*>(shared_ + at) = pack_pair<T>(sum.x, sum.y);
        }
      }
    }
    __syncthreads();
    for (int idx = threadIdx.x; idx < Shape::kRows * kRowChunks; idx += kGemmThreads) {
      const int row = idx / kRowChunks, chunk = idx % kRowChunks;
      const int output = first_output_ + chunk * 8;
      if (first_row_ + row >= args_.n_rows || output >= args_.linear.weight.n_out) continue;
      *reinterpret_cast<uint4*>(static_cast<T*>(args_.out) + (first_row_ + row) * args_.out_stride +
                                output) =
          *reinterpret_cast<const uint4*>(shared_ + swizzled<kRowBytes>(row, chunk));
    }
  }

  const GemmArgs& args_;
  char* shared_;
  uint32_t stages_;  // shared address of the first stage
  int lane_;
  int first_row_, first_output_;  // of the block
  int warp_row_, warp_output_;    // of the warp, in the block
  float acc_[kRowTiles][kOutputTiles][4] = {};
};

template <class T, WeightFormat kFormat, class Shape>
__global__ void __launch_bounds__(kGemmThreads) gemm_kernel(const __grid_constant__ GemmArgs args) {
#if __CUDA_ARCH__ >= 800
  constexpr bool kSupported = true;
#else
  constexpr bool kSupported = std::is_same_v<T, __half>;
#endif
  if constexpr (kSupported) {
    extern __shared__ __align__(128) char shared[];
    GemmBlock<T, kFormat, Shape>(args, shared).run();
  } else {
    __trap();
  }
}

template <class T, WeightFormat kFormat, class Shape>
cudaError_t launch_gemm_shape(const GemmArgs& args, cudaStream_t stream) {
  using Stage = GemmStage<Shape, kFormat>;
  const dim3 grid((args.n_rows + Shape::kRows - 1) / Shape::kRows,
                  (args.linear.weight.n_out + Shape::kOutputs - 1) / Shape::kOutputs);
  gemm_kernel<T, kFormat, Shape>
      <<<grid, kGemmThreads, Stage::kStages * Stage::kBytes, stream>>>(args);
  return cudaGetLastError();
}

template <class T, WeightFormat kFormat>
cudaError_t launch_gemm_tile(const GemmArgs& args, cudaStream_t stream) {
  // Dense weights take four times the shared memory of 4-bit ones: fewer k a stage there.
  constexpr int kSmallK = kFormat == WeightFormat::kDense ? 64 : 128;
  switch (args.tile) {
    case GemmTile::k16x32:
      return launch_gemm_shape<T, kFormat, GemmShape<16, 32, 16, 8, kSmallK>>(args, stream);
    case GemmTile::k16x64:
      return launch_gemm_shape<T, kFormat, GemmShape<16, 64, 16, 16, kSmallK>>(args, stream);
    case GemmTile::k32x64:
      return launch_gemm_shape<T, kFormat, GemmShape<32, 64, 32, 16, 64>>(args, stream);
    case GemmTile::k64x64:
      return launch_gemm_shape<T, kFormat, GemmShape<64, 64, 32, 32, 64>>(args, stream);
    case GemmTile::k128x128:
      return launch_gemm_shape<T, kFormat, GemmShape<128, 128, 64, 64, 32>>(args, stream);
  }
  return cudaErrorInvalidValue;
}

template <WeightFormat kFormat>
cudaError_t launch_gemm_format(const GemmArgs& args, cudaStream_t stream) {
  switch (args.type) {
    case FloatType::kF16:
      return launch_gemm_tile<__half, kFormat>(args, stream);
    case FloatType::kBf16:
      return launch_gemm_tile<__nv_bfloat16, kFormat>(args, stream);
    case FloatType::kF32:
      break;
  }
  return cudaErrorInvalidValue;
}

// One source file a format, so that they compile side by side.
cudaError_t launch_gemm_dense(const GemmArgs& args, cudaStream_t stream);
cudaError_t launch_gemm_w8(const GemmArgs& args, cudaStream_t stream);
cudaError_t launch_gemm_w4(const GemmArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
