// Outputs of a quantised matrix as dense rows, for cuBLAS.
//
// Blocks of 256 threads make 16 outputs x 256 k; 8.25 KiB of shared memory.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/types.h"
#include "kernels/cuda/weight_format.h"

namespace prefold::cuda {

// out = outputs [first_output, first_output + n_outputs), row-major (n_outputs, n_in) of T: d * q +
// m rounded once, as gemm.h multiplies it.
struct DequantizeArgs {
  DeviceMatrix weight = {};          // kW8 or kW4
  int32_t first_output = 0;          // a multiple of 8
  int32_t n_outputs = 0;             // > 0, a multiple of 8
  FloatType type = FloatType::kF16;  // T: kF16, or kBf16 from sm_80 on
  void* out = nullptr;               // 16-byte aligned
};

[[nodiscard]] cudaError_t launch_dequantize(const DequantizeArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
