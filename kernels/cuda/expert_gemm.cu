#include "kernels/cuda/expert_gemm.h"

#include "kernels/cuda/expert_gemm_launch.cuh"

namespace prefold::cuda {

cudaError_t launch_expert_gemm(const ExpertGemmArgs& args, cudaStream_t stream) {
  if (args.max_tiles == 0) return cudaSuccess;
  if (args.type == FloatType::kF32) return launch_expert_gemm_exact(args, stream);
  switch (args.experts.first.format) {
    case WeightFormat::kDense:
      return launch_expert_gemm_dense(args, stream);
    case WeightFormat::kW8:
      return launch_expert_gemm_w8(args, stream);
    case WeightFormat::kW4:
      return launch_expert_gemm_w4(args, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace prefold::cuda
