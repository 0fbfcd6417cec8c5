#include "kernels/cuda/expert_gemm_launch.cuh"
#include "kernels/cuda/gemm_exact_kernel.cuh"

namespace prefold::cuda {
namespace {

template <WeightFormat kFormat>
__global__ void __launch_bounds__(exact::kThreads)
    expert_gemm_exact_kernel(const __grid_constant__ ExpertGemmArgs args) {
  if (static_cast<int>(blockIdx.x) >= *args.n_tiles) return;
  const TileProduct<GemmExactArgs> product = product_of_tile<GemmExactArgs, float>(args);
  exact::multiply_tile<kFormat, true>(
      product.gemm,
      {static_cast<const float*>(args.x), args.x_stride, 0, product.gemm.n_rows, product.x_rows}, 0,
      blockIdx.y * exact::kTile, [&](int row) { return product.out_rows[row]; });
}

template <WeightFormat kFormat>
void launch(const ExpertGemmArgs& args, cudaStream_t stream) {
  const dim3 grid(args.max_tiles, (args.experts.first.n_out + exact::kTile - 1) / exact::kTile);
  expert_gemm_exact_kernel<kFormat><<<grid, exact::kThreads, 0, stream>>>(args);
}

}  // namespace

cudaError_t launch_expert_gemm_exact(const ExpertGemmArgs& args, cudaStream_t stream) {
  if (args.tile != GemmTile::k64x64) return cudaErrorInvalidValue;
  switch (args.experts.first.format) {
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
