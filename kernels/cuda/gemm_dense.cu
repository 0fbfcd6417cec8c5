#include "kernels/cuda/gemm_launch.cuh"

namespace prefold::cuda {

cudaError_t launch_gemm_dense(const GemmArgs& args, cudaStream_t stream) {
  return launch_gemm_format<WeightFormat::kDense>(args, stream);
}

}  // namespace prefold::cuda
