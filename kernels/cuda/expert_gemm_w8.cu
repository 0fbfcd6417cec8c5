#include "kernels/cuda/expert_gemm_launch.cuh"

namespace prefold::cuda {

cudaError_t launch_expert_gemm_w8(const ExpertGemmArgs& args, cudaStream_t stream) {
  return launch_expert_gemm_format<WeightFormat::kW8>(args, stream);
}

}  // namespace prefold::cuda
