#include "kernels/cuda/expert_gemm_launch.cuh"

namespace prefold::cuda {

cudaError_t launch_expert_gemm_dense(const ExpertGemmArgs& args, cudaStream_t stream) {
  return launch_expert_gemm_format<WeightFormat::kDense>(args, stream);
}

}  // namespace prefold::cuda
