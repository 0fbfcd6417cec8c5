// Matrix products by cuBLAS: f16 or bf16 operands, f32 accumulation. Quantised weights are
// dequantised into scratch first. Summation order is cuBLAS's: no identity over row counts.
#pragma once

#include <cublas_v2.h>

#include <cstddef>
#include <span>

#include "kernels/cuda/gemm.h"

namespace prefold::cuda {

// Throws Error "CUDA: <what>: <message> (<name>)".
void check_cublas(const char* what, cublasStatus_t status);

// A handle whose work runs on `stream`, in the caller's workspace (device memory, 256-byte
// aligned), so that nothing is allocated later, also in a captured graph.
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

inline constexpr size_t kCublasWorkspaceBytes = size_t{32} << 20;

// As launch_gemm with args (args.tile is not used). scratch: device memory, 256-byte aligned, at
// least cublas_scratch_bytes(args.linear.weight).
void cublas_linear(cublasHandle_t handle, cudaStream_t stream, const GemmArgs& args,
                   std::span<std::byte> scratch);

// n_out * n_in * 2 if quantised; 0 if dense.
size_t cublas_scratch_bytes(const DeviceMatrix& weight);

}  // namespace prefold::cuda
