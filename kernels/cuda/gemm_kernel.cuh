// The kernel of gemm.h, a template over T, the weights' format and the tile.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/gemm_stage.cuh"
#include "kernels/cuda/quants.cuh"
#include "kernels/cuda/tensor_core.cuh"

namespace prefold::cuda {

// A thread's part in a block's work.
template <class T, WeightFormat kFormat, class Shape>
class GemmBlock {
 public:
  using Stage = GemmStage<Shape, kFormat>;

  // The tile begins at this row and output of `args`.
  __device__ __forceinline__ GemmBlock(const GemmArgs& args, int first_row, int first_output,
                                       char* shared)
      : args_(args),
        shared_(shared),
        lane_(threadIdx.x % 32),
        first_row_(first_row),
        first_output_(first_output),
        warp_row_(threadIdx.x / 32 / Shape::kWarpsOverOutputs * Shape::kWarpRows),
        warp_output_(threadIdx.x / 32 % Shape::kWarpsOverOutputs * Shape::kWarpOutputs) {
    x_first_ = kHalfTiles ? swizzled<Stage::kRowBytes>(warp_row_ + lane_ % 8, lane_ / 8)
                          : swizzled<Stage::kRowBytes>(warp_row_ + lane_ % 16, lane_ / 16);
    weight_first_ =
        Stage::kWeightOffset +
        (Stage::kDense ? swizzled<Stage::kRowBytes>(warp_output_ + lane_ % 8, lane_ / 8)
                       : warp_output_ * Stage::kOutputBytes + lane_ * (Stage::kUnitBytes / 32));
    scale_first_ = Stage::kScaleOffset + (warp_output_ + lane_ / 4) * Stage::kScaleBytes;
    keep(x_first_);
    keep(weight_first_);
    keep(scale_first_);
  }

  // The tile's rows of x lie one after the other.
  __device__ __forceinline__ void run() {
    run(XCopier(static_cast<const T*>(args_.x) + first_row_ * args_.x_stride, args_.x_stride * 2,
                Shape::kK * 2, args_.n_rows - first_row_, XCopier::kAll),
        [](int row) { return row; });
  }

  // x: what copies the tile's rows, of the interface of XCopier. Row i is row out_row(i) of out.
  template <class X, class OutRow>
  __device__ __forceinline__ void run(X x, const OutRow& out_row) {
    const DeviceMatrix& weight = args_.linear.weight;
    x.zero_absent(shared_, Stage::kBytes, Stage::kStages);
    const int n_outputs = weight.n_out - first_output_;
    if constexpr (Stage::kDense) {
      DenseCopier rows(
          static_cast<const T*>(weight.values) + first_output_ * static_cast<int64_t>(weight.n_in),
          static_cast<int64_t>(weight.n_in) * 2, Shape::kK * 2, n_outputs, DenseCopier::kAll);
      rows.zero_absent(shared_ + Stage::kWeightOffset, Stage::kBytes, Stage::kStages);
      multiply_all([&](uint32_t stage, int k_left) {
        if (whole(k_left)) {
          x.copy(stage);
          rows.copy(stage + Stage::kWeightOffset);
        } else {
          x.copy_part(stage, XCopier::kAll, k_left / 8);
          rows.copy_part(stage + Stage::kWeightOffset, DenseCopier::kAll, k_left / 8);
        }
      });
    } else {
      const int64_t unit_pitch = static_cast<int64_t>(weight.n_out) * Stage::kOutputBytes;
      const int64_t scale_pitch = static_cast<int64_t>(weight.n_out) * Stage::kScaleBytes;
      UnitCopier units(
          static_cast<const char*>(weight.values) + first_output_ * Stage::kOutputBytes, unit_pitch,
          unit_pitch * Stage::kGroups, UnitCopier::kAll, n_outputs * Stage::kOutputBytes / 16);
      ScaleCopier scales(
          static_cast<const char*>(weight.scales) + first_output_ * Stage::kScaleBytes, scale_pitch,
          scale_pitch * Stage::kGroups, ScaleCopier::kAll, n_outputs * Stage::kScaleBytes / 16);
      units.zero_absent(shared_ + Stage::kWeightOffset, Stage::kBytes, Stage::kStages);
      scales.zero_absent(shared_ + Stage::kScaleOffset, Stage::kBytes, Stage::kStages);
      multiply_all([&](uint32_t stage, int k_left) {
        if (whole(k_left)) {
          x.copy(stage);
          units.copy(stage + Stage::kWeightOffset);
          scales.copy(stage + Stage::kScaleOffset);
        } else {
          const int n_groups = k_left / kWeightGroup;
          x.copy_part(stage, XCopier::kAll, k_left / 8);
          units.copy_part(stage + Stage::kWeightOffset, n_groups, UnitCopier::kAll);
          scales.copy_part(stage + Stage::kScaleOffset, n_groups, ScaleCopier::kAll);
        }
      });
    }
    if (args_.output == GemmOutput::kStore) {
      store(out_row);
    } else {
      store_f32(out_row);
    }
  }

 private:
  static constexpr bool kHalfTiles = Shape::kWarpRows == 8;
  static constexpr int kRowTiles = kHalfTiles ? 1 : Shape::kWarpRows / 16;
  static constexpr int kHalves = kHalfTiles ? 1 : 2;  // of 8 rows in a tile of the tensor cores
  static constexpr int kOutputTiles = Shape::kWarpOutputs / 8;

  template <int kPieces, int kPieceBytes, bool kSwizzled>
  using Copier = StageCopier<Shape::kThreads, kPieces, kPieceBytes / 16, kSwizzled>;
  using XCopier = Copier<Shape::kRows, Stage::kRowBytes, true>;
  using DenseCopier = Copier<Shape::kOutputs, Stage::kRowBytes, true>;
  using UnitCopier = Copier<Stage::kGroups, Stage::kUnitsBytes, false>;
  using ScaleCopier = Copier<Stage::kGroups, Stage::kScalesBytes, false>;

  static __device__ __forceinline__ bool whole(int k_left) {
    return Stage::kGroups == 1 || k_left >= Shape::kK;
  }

  // copy(stage, k_left): copies the next stage to this shared address; k_left of k are left.
  template <class Copy>
  __device__ __forceinline__ void multiply_all(const Copy& copy) {
    const uint32_t stages = shared_address(shared_);
    int to_copy = args_.linear.weight.n_in;  // of k
#pragma unroll
    for (int i = 0; i < Stage::kStages - 1; ++i) {
      if (to_copy > 0) copy(stages + i * Stage::kBytes, to_copy);
      commit_copies();
      to_copy -= Shape::kK;
    }
    int stage = 0, free_stage = (Stage::kStages - 1) * Stage::kBytes;  // as bytes
    for (int k_left = args_.linear.weight.n_in; k_left > 0; k_left -= Shape::kK) {
      wait_copies<Stage::kStages - 2>();
      __syncthreads();  // this stage is there for all, and all have done with the one before
      if (to_copy > 0) copy(stages + free_stage, to_copy);
      commit_copies();
      to_copy -= Shape::kK;
      multiply_stage(stage, k_left);
      free_stage = stage;
      stage = stage == (Stage::kStages - 1) * Stage::kBytes ? 0 : stage + Stage::kBytes;
    }
  }

  __device__ __forceinline__ void multiply_stage(int stage, int k_left) {
    static_for<Stage::kGroups>([&]<int kGroup>() {
      if (Stage::kGroups > 1 && kGroup * kWeightGroup >= k_left) return;
      uint32_t x[2][kRowTiles][4];
      load_x<kGroup>(stage, x);
      static_for<kOutputTiles>([&]<int kTile>() {
        uint32_t w[4];
        load_weights<kGroup, kTile>(stage, w);
#pragma unroll
        for (int step = 0; step < 2; ++step) {
#pragma unroll
          for (int i = 0; i < kRowTiles; ++i) {
            multiply_add<T>(acc_[i][kTile], x[step][i], w[2 * step], w[2 * step + 1]);
          }
        }
      });
    });
  }

  // The A operands of both k16 steps of a group.
  template <int kGroup>
  __device__ __forceinline__ void load_x(int stage, uint32_t (&x)[2][kRowTiles][4]) const {
    const uint32_t first = shared_address(shared_) + stage + x_first_;
    if constexpr (kHalfTiles) {
      uint32_t both[4];
      load_matrices<kGroup / 2 * 128>(chunks_on<kGroup % 2 * 4>(first), both);
#pragma unroll
      for (int step = 0; step < 2; ++step) {
        x[step][0][0] = both[2 * step];
        x[step][0][2] = both[2 * step + 1];
        x[step][0][1] = x[step][0][3] = 0;
      }
    } else {
      static_for<2>([&]<int kHalf>() {
        constexpr int kStep = kGroup * 2 + kHalf;
        static_for<kRowTiles>([&]<int kTile>() {
          load_matrices<kTile * 16 * Stage::kRowBytes + kStep / 4 * 128>(
              chunks_on<kStep % 4 * 2>(first), x[kHalf][kTile]);
        });
      });
    }
  }

  // The address kChunks chunks further along a swizzled row, from one of its first chunks; kChunks
  // is even and less than 8. Stages are aligned to 128 bytes, so that this is one instruction.
  template <int kChunks>
  static __device__ __forceinline__ uint32_t chunks_on(uint32_t first) {
    return first ^ kChunks * 16;
  }

  // The B operands of both k16 steps of a group, of the warp's kTile-th 8 outputs.
  template <int kGroup, int kTile>
  __device__ __forceinline__ void load_weights(int stage, uint32_t (&w)[4]) const {
    if constexpr (Stage::kDense) {
      const uint32_t first = shared_address(shared_) + stage + weight_first_;
      load_matrices<kTile * 8 * Stage::kRowBytes + kGroup / 2 * 128>(
          chunks_on<kGroup % 2 * 4>(first), w);
    } else {
      const char* unit =
          shared_ + stage + weight_first_ + kGroup * Stage::kUnitsBytes + kTile * Stage::kUnitBytes;
      const char* scale = shared_ + stage + scale_first_ + kGroup * Stage::kScalesBytes +
                          kTile * 8 * Stage::kScaleBytes;
      if constexpr (kFormat == WeightFormat::kW4) {
        dequantize<T>(LaneQuants<kFormat>{*reinterpret_cast<const uint32_t*>(unit)},
                      *reinterpret_cast<const uint32_t*>(scale), w);
      } else {
        dequantize<T>(LaneQuants<kFormat>{*reinterpret_cast<const uint2*>(unit)},
                      *reinterpret_cast<const uint16_t*>(scale), w);
      }
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

  template <class OutRow>
  __device__ __forceinline__ void store_f32(const OutRow& out_row) const {
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i) {
#pragma unroll
      for (int half = 0; half < kHalves; ++half) {
        const int row = first_row_ + warp_row_ + i * 16 + half * 8 + lane_ / 4;
        if (row >= args_.n_rows) continue;
        float* out = static_cast<float*>(args_.out) + out_row(row) * args_.out_stride;
#pragma unroll
        for (int j = 0; j < kOutputTiles; ++j) {
          const int output = first_output_ + warp_output_ + j * 8 + lane_ % 4 * 2;
          if (output >= args_.linear.weight.n_out) continue;
          float2* at = reinterpret_cast<float2*>(out + output);
          float2 sum = biased(i, j, half);
          if (args_.output == GemmOutput::kAddF32) {
            sum.x = at->x + args_.add_scale * sum.x;
            sum.y = at->y + args_.add_scale * sum.y;
          }
          *at = sum;
        }
      }
    }
  }

  // Through shared memory, so that whole sectors are written.
  template <class OutRow>
  __device__ __forceinline__ void store(const OutRow& out_row) {
    constexpr int kRowBytes = Shape::kOutputs * 2, kRowChunks = kRowBytes / 16;
    static_assert(Shape::kRows * kRowBytes <= Stage::kStages * Stage::kBytes);
    __syncthreads();  // no copy is under way: all have been waited for
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i) {
#pragma unroll
      for (int half = 0; half < kHalves; ++half) {
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
    for (int idx = threadIdx.x; idx < Shape::kRows * kRowChunks; idx += Shape::kThreads) {
      const int row = idx / kRowChunks, chunk = idx % kRowChunks;
      const int output = first_output_ + chunk * 8;
      if (first_row_ + row >= args_.n_rows || output >= args_.linear.weight.n_out) continue;
      *reinterpret_cast<uint4*>(static_cast<T*>(args_.out) +
                                out_row(first_row_ + row) * args_.out_stride + output) =
          *reinterpret_cast<const uint4*>(shared_ + swizzled<kRowBytes>(row, chunk));
    }
  }

  const GemmArgs& args_;
  char* shared_;
  int lane_;
  int first_row_, first_output_;  // of the block
  int warp_row_, warp_output_;    // of the warp, in the block
  // What the lane reads first of a stage, in bytes from its begin.
  int x_first_, weight_first_, scale_first_;
  float acc_[kRowTiles][kOutputTiles][4] = {};
};

template <class T, WeightFormat kFormat, class Shape>
__global__ void __launch_bounds__(Shape::kThreads)
    gemm_kernel(const __grid_constant__ GemmArgs args) {
#if __CUDA_ARCH__ >= 800
  constexpr bool kSupported = true;
#else
  constexpr bool kSupported = std::is_same_v<T, __half>;
#endif
  if constexpr (kSupported) {
    extern __shared__ __align__(128) char shared[];
    GemmBlock<T, kFormat, Shape>(args, blockIdx.x * Shape::kRows, blockIdx.y * Shape::kOutputs,
                                 shared)
        .run();
  } else {
    __trap();
  }
}

}  // namespace prefold::cuda
