// Matrix products in f32 throughout, for --precision exact: y = x W^T.
//
// An output is one chain acc = fma(x[k], w[k], acc) over k in order from 0, where w[k] is the one
// f32 value of the weight (d * q + m rounded once): the chain of the CPU engine, so the bits are
// its bits. Then the bias is added; then, if wanted, the sum times add_scale to the old output.
//
// Blocks of 64 threads, 64 x 64 outputs each; 16 KiB of shared memory, 243 registers at most, none
// spilt. Bound by f32 multiply-adds; up to 64 rows cost as much as 64.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/weight_format.h"

namespace prefold::cuda {

struct GemmExactArgs {
  const float* x = nullptr;  // (n_rows, weight.n_in), 16-byte aligned
  int64_t x_stride = 0;      // in floats, a multiple of 4
  int32_t n_rows = 0;        // > 0
  DeviceLinear linear;       // dense weights are f32
  bool add_to_out = false;
  float add_scale = 1.0f;  // of what is added
  float* out = nullptr;    // (n_rows, weight.n_out), 16-byte aligned; not x
  int64_t out_stride = 0;  // in floats, a multiple of 4
};

[[nodiscard]] cudaError_t launch_gemm_exact(const GemmExactArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
