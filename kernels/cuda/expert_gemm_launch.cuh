// The kernel of expert_gemm.h on tensor cores, and its launches.
#pragma once

#include "kernels/cuda/expert_gemm.h"
#include "kernels/cuda/gemm_kernel.cuh"

namespace prefold::cuda {

// As StageCopier, for rows of x that lie anywhere.
template <int kThreads, int kRows, int kRowChunks>
class RowCopier : private StageCopier<kThreads, kRows, kRowChunks, true> {
  using Base = StageCopier<kThreads, kRows, kRowChunks, true>;

 public:
  using Base::kAll;
  using Base::zero_absent;

  // rows: which they are, n_rows of them. row_bytes: from one of x to the next.
  __device__ __forceinline__ RowCopier(const void* x, int64_t row_bytes, const int32_t* rows,
                                       int step, int n_rows)
      : Base(x, 0, step, n_rows, kAll) {
    static_assert(kThreads % kRowChunks == 0);
#pragma unroll
    for (int i = 0; i < Base::kCount; ++i) {
      const int row = (threadIdx.x + i * kThreads) / kRowChunks;
      offsets_[i] = row < n_rows ? rows[row] * static_cast<int>(row_bytes / 16) : 0;
    }
  }

  __device__ __forceinline__ void copy(uint32_t to) { copy_rows(to, this->present_); }

  __device__ __forceinline__ void copy_part(uint32_t to, int n_pieces, int n_chunks) {
    copy_rows(to, this->present_ & this->those_before(n_pieces, n_chunks));
  }

 private:
  __device__ __forceinline__ void copy_rows(uint32_t to, uint32_t which) {
    this->copy_chunks(to, which,
                      [&](int i) { return this->from_ + static_cast<int64_t>(offsets_[i]) * 16; });
  }

  int offsets_[Base::kCount];  // of the thread's rows, in 16 bytes
};

// The product of a block's tile: how many rows, the matrix of their expert, and which rows of x and
// out. Gemm: GemmArgs, or GemmExactArgs.
template <class Gemm>
struct TileProduct {
  Gemm gemm;
  const int32_t* x_rows;
  const int32_t* out_rows;
};

template <class Gemm, class T>
__device__ TileProduct<Gemm> product_of_tile(const ExpertGemmArgs& args) {
  const int4 tile = reinterpret_cast<const int4*>(args.tiles)[blockIdx.x];  // ExpertTile
  const int expert = tile.x, first = tile.y;
  const int64_t skipped = expert * static_cast<int64_t>(args.experts.n_bytes);
  Gemm gemm;
  gemm.n_rows = tile.z;
  gemm.linear.weight = args.experts.first;
  gemm.linear.weight.values = static_cast<const char*>(args.experts.first.values) + skipped;
  gemm.linear.weight.scales = static_cast<const char*>(args.experts.first.scales) + skipped;
  gemm.out = static_cast<T*>(args.out);
  gemm.out_stride = args.out_stride;
  return {gemm, args.x_rows + first, args.out_rows + first};
}

template <class T, WeightFormat kFormat, class Shape>
__global__ void __launch_bounds__(Shape::kThreads)
    expert_gemm_kernel(const __grid_constant__ ExpertGemmArgs args) {
  if (static_cast<int>(blockIdx.x) >= *args.n_tiles) return;
#if __CUDA_ARCH__ >= 800
  constexpr bool kSupported = true;
#else
  constexpr bool kSupported = std::is_same_v<T, __half>;
#endif
  if constexpr (kSupported) {
    extern __shared__ __align__(128) char shared[];
    using Stage = GemmStage<Shape, kFormat>;
    using Rows = RowCopier<Shape::kThreads, Shape::kRows, Stage::kRowBytes / 16>;
    const TileProduct<GemmArgs> product = product_of_tile<GemmArgs, T>(args);
    GemmBlock<T, kFormat, Shape>(product.gemm, 0, blockIdx.y * Shape::kOutputs, shared)
        .run(Rows(args.x, args.x_stride * 2, product.x_rows, Shape::kK * 2, product.gemm.n_rows),
             [&](int row) { return product.out_rows[row]; });
  } else {
    __trap();
  }
}

template <class T, WeightFormat kFormat, class Shape>
cudaError_t launch_expert_gemm_shape(const ExpertGemmArgs& args, cudaStream_t stream) {
  using Stage = GemmStage<Shape, kFormat>;
  const dim3 grid(args.max_tiles,
                  (args.experts.first.n_out + Shape::kOutputs - 1) / Shape::kOutputs);
  expert_gemm_kernel<T, kFormat, Shape>
      <<<grid, Shape::kThreads, Stage::kStages * Stage::kBytes, stream>>>(args);
  return cudaGetLastError();
}

// The shapes are those that gemm_launch.cuh has for these tiles.
template <class T, WeightFormat kFormat>
cudaError_t launch_expert_gemm_tile(const ExpertGemmArgs& args, cudaStream_t stream) {
  constexpr int kSmallK = kFormat == WeightFormat::kDense ? 64 : 128;
  switch (args.tile) {
    case GemmTile::k16x64:
      return launch_expert_gemm_shape<T, kFormat, GemmShape<16, 64, 16, 16, kSmallK>>(args, stream);
    case GemmTile::k64x64:
      return launch_expert_gemm_shape<T, kFormat, GemmShape<64, 64, 64, 32, 64>>(args, stream);
    case GemmTile::k128x128:
      return launch_expert_gemm_shape<T, kFormat, GemmShape<128, 128, 64, 64, 32>>(args, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

template <WeightFormat kFormat>
cudaError_t launch_expert_gemm_format(const ExpertGemmArgs& args, cudaStream_t stream) {
  switch (args.type) {
    case FloatType::kF16:
      return launch_expert_gemm_tile<__half, kFormat>(args, stream);
    case FloatType::kBf16:
      return launch_expert_gemm_tile<__nv_bfloat16, kFormat>(args, stream);
    case FloatType::kF32:
      break;
  }
  return cudaErrorInvalidValue;
}

// One source file a format, so that they compile side by side.
cudaError_t launch_expert_gemm_dense(const ExpertGemmArgs& args, cudaStream_t stream);
cudaError_t launch_expert_gemm_w8(const ExpertGemmArgs& args, cudaStream_t stream);
cudaError_t launch_expert_gemm_w4(const ExpertGemmArgs& args, cudaStream_t stream);
cudaError_t launch_expert_gemm_exact(const ExpertGemmArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
