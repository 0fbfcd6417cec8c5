#include "kernels/cuda/gemm.h"

#include "kernels/cuda/gemm_launch.cuh"

namespace prefold::cuda {

cudaError_t launch_gemm(const GemmArgs& args, cudaStream_t stream) {
  switch (args.linear.weight.format) {
    case WeightFormat::kDense:
      return launch_gemm_dense(args, stream);
    case WeightFormat::kW8:
      return launch_gemm_w8(args, stream);
    case WeightFormat::kW4:
      return launch_gemm_w4(args, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace prefold::cuda
