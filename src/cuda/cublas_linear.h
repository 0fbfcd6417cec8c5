// Matrix products by cuBLAS: f16 or bf16 operands, f32 accumulation. Quantised weights are
// dequantised into scratch first. The order of summation is cuBLAS's and depends on the shape: what
// must not depend on the number of rows cannot use it.
#pragma once

#include <cstddef>
#include <span>

#include "cuda/cublas_api.h"
#include "kernels/cuda/gemm.h"

namespace prefold::cuda {

inline constexpr size_t kCublasWorkspaceBytes = size_t{32} << 20;  // what Hopper wants, the most

// A handle whose work runs on `stream`, in a workspace of the caller's (device memory, 256-byte
// aligned), so that nothing is allocated later, nor in a captured graph.
class CublasHandle {
 public:
  CublasHandle(cudaStream_t stream, std::span<std::byte> workspace);
  ~CublasHandle();
  CublasHandle(const CublasHandle&) = delete;
  CublasHandle& operator=(const CublasHandle&) = delete;

  cublasHandle_t get() const { return handle_; }

 private:
  cublasHandle_t handle_ = nullptr;
};

// The product of launch_gemm with the same args (args.tile is not used), on the handle's stream,
// save that with kStore a bias is rounded to T before it is added. Quantised weights pass through
// `scratch` (device memory, 256-byte aligned), as many outputs at a time as fit: at least 16.
void cublas_linear(cublasHandle_t handle, const GemmArgs& args, std::span<std::byte> scratch);

// Scratch for a matrix: all its outputs in T, or 128 MiB if that is less; 0 if it is dense.
size_t cublas_scratch_bytes(const DeviceMatrix& weight);

}  // namespace prefold::cuda
