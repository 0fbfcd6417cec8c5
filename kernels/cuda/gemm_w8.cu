#include "kernels/cuda/gemm_launch.cuh"

namespace prefold::cuda {

cudaError_t launch_gemm_w8(const GemmArgs& args, cudaStream_t stream) {
  return launch_gemm_format<WeightFormat::kW8>(args, stream);
}

}  // namespace prefold::cuda
