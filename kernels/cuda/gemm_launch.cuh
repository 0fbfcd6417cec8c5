// Launches of gemm_kernel.cuh: from the values in GemmArgs to an instance of the template.
#pragma once

#include "kernels/cuda/gemm_kernel.cuh"

namespace prefold::cuda {

template <class T, WeightFormat kFormat, class Shape>
cudaError_t launch_gemm_shape(const GemmArgs& args, cudaStream_t stream) {
  using Stage = GemmStage<Shape, kFormat>;
  const dim3 grid((args.n_rows + Shape::kRows - 1) / Shape::kRows,
                  (args.linear.weight.n_out + Shape::kOutputs - 1) / Shape::kOutputs);
  gemm_kernel<T, kFormat, Shape>
      <<<grid, Shape::kThreads, Stage::kStages * Stage::kBytes, stream>>>(args);
  return cudaGetLastError();
}

template <class T, WeightFormat kFormat>
cudaError_t launch_gemm_tile(const GemmArgs& args, cudaStream_t stream) {
  // Dense weights take four times the shared memory of 4-bit ones: fewer k a stage there.
  constexpr int kSmallK = kFormat == WeightFormat::kDense ? 64 : 128;
  switch (args.tile) {
    case GemmTile::k8x32:
      return launch_gemm_shape<T, kFormat, GemmShape<8, 32, 8, 8, kSmallK>>(args, stream);
    case GemmTile::k8x64:
      return launch_gemm_shape<T, kFormat, GemmShape<8, 64, 8, 16, kSmallK>>(args, stream);
    case GemmTile::k16x32:
      return launch_gemm_shape<T, kFormat, GemmShape<16, 32, 16, 8, kSmallK>>(args, stream);
    case GemmTile::k16x64:
      return launch_gemm_shape<T, kFormat, GemmShape<16, 64, 16, 16, kSmallK>>(args, stream);
    case GemmTile::k32x64:
      return launch_gemm_shape<T, kFormat, GemmShape<32, 64, 32, 32, 64>>(args, stream);
    case GemmTile::k64x64:
      return launch_gemm_shape<T, kFormat, GemmShape<64, 64, 64, 32, 64>>(args, stream);
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
