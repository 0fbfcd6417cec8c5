#include "kernels/cuda/gemm_exact.h"

#include "kernels/cuda/gemm_exact_kernel.cuh"

namespace prefold::cuda {
namespace {

template <WeightFormat kFormat>
__global__ void __launch_bounds__(exact::kThreads)
    gemm_exact_kernel(const __grid_constant__ GemmExactArgs args) {
  const int first_row = blockIdx.x * exact::kTile;
  exact::multiply_tile<kFormat, false>(
      args, {args.x, args.x_stride, first_row, args.n_rows - first_row}, first_row,
      blockIdx.y * exact::kTile, [](int row) { return row; });
}

template <WeightFormat kFormat>
void launch(const GemmExactArgs& args, cudaStream_t stream) {
  const dim3 grid((args.n_rows + exact::kTile - 1) / exact::kTile,
                  (args.linear.weight.n_out + exact::kTile - 1) / exact::kTile);
  gemm_exact_kernel<kFormat><<<grid, exact::kThreads, 0, stream>>>(args);
}

}  // namespace

cudaError_t launch_gemm_exact(const GemmExactArgs& args, cudaStream_t stream) {
  switch (args.linear.weight.format) {
    case WeightFormat::kDense:
      launch<WeightFormat::kDense>(args, stream);
      break;
    case WeightFormat::kW8:
      launch<WeightFormat::kW8>(args, stream);
      break;
    case WeightFormat::kW4:
      launch<WeightFormat::kW4>(args, stream);
      break;
  }
  return cudaGetLastError();
}

}  // namespace prefold::cuda
