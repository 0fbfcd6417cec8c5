// Matrix products on the GPU: which kernel, which tile, or cuBLAS.
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "kernels/cuda/gemm.h"

namespace prefold::cuda {

// The least number of rows for which cuBLAS is used, by format; kNever: never.
struct CublasRows {
  static constexpr int32_t kNever = INT32_MAX;
  int32_t dense = kNever;
  int32_t w8 = kNever;
  int32_t w4 = kNever;

  int32_t of(WeightFormat format) const;
  friend bool operator==(const CublasRows&, const CublasRows&) = default;
};

struct LinearContext {
  cudaStream_t stream = nullptr;
  int32_t n_sms = 0;  // multiprocessors of the device
  // Our own kernels only: a row's bits depend on the row alone. cuBLAS promises no such thing.
  bool deterministic = false;
  CublasRows cublas_rows;
  cublasHandle_t cublas = nullptr;  // may be null if deterministic
  std::span<std::byte> scratch;     // device memory for dequantised weights (linear_scratch_bytes)
};

// Rows of activations in device memory.
struct DeviceRows {
  const void* data = nullptr;
  FloatType type = FloatType::kF16;
  int32_t n_rows = 0;
  int64_t stride = 0;  // in elements
};

struct LinearOut {
  void* data = nullptr;
  int64_t stride = 0;  // in elements
  GemmOutput output = GemmOutput::kStore;
};

// out = x W^T (+ bias), as kernels/cuda/gemm.h has it. With x in f32 (--precision exact) all is
// f32: kStore and kStoreF32 mean the same then, and the bits are those of the CPU's exact linear
// op. Nothing is done for 0 rows.
void linear(const LinearContext& context, const DeviceRows& x, const DeviceLinear& linear,
            const LinearOut& out);

// What LinearContext::scratch must hold for cuBLAS with these weights.
size_t linear_scratch_bytes(std::span<const DeviceLinear* const> linears);

// The tile for a product of n_rows rows and n_out outputs: as large as leaves every multiprocessor
// a block, since larger tiles read less.
GemmTile choose_tile(int32_t n_rows, int32_t n_out, int32_t n_sms);

// Milliseconds that a product of n_rows rows takes.
using TimeLinearFn = std::function<double(bool use_cublas, int32_t n_rows)>;

// The least of the row counts 32, 64, ..., max_rows from which on cuBLAS is faster at all of them;
// kNever if it is slower at the last.
int32_t find_cublas_rows(const TimeLinearFn& time_ms, int32_t max_rows);

}  // namespace prefold::cuda
