// Quantised weights as dense values: for cuBLAS, and for embedding lookups.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/types.h"
#include "kernels/cuda/weight_format.h"

namespace prefold::cuda {

// out = the whole matrix, row-major (n_out, n_in) of `type`: d * q + m rounded once, as gemm has
// it.
struct DequantizeArgs {
  DeviceMatrix weight;  // kW8 or kW4
  FloatType type = FloatType::kF16;
  void* out = nullptr;  // 16-byte aligned
};
[[nodiscard]] cudaError_t launch_dequantize(const DequantizeArgs& args, cudaStream_t stream);

// out.row(i) = row ids[i] of a matrix of any format, in f32 (dense f16 and bf16 widened; quantised
// d * q + m rounded once to f32).
struct GatherWeightRowsArgs {
  DeviceMatrix weight;
  const int32_t* ids = nullptr;  // n_rows device ids in [0, n_out)
  int32_t n_rows = 0;            // > 0
  float* out = nullptr;          // (n_rows, n_in), 16-byte aligned
  int64_t out_stride = 0;        // in floats, a multiple of 4
};
[[nodiscard]] cudaError_t launch_gather_weight_rows(const GatherWeightRowsArgs& args,
                                                    cudaStream_t stream);

}  // namespace prefold::cuda
