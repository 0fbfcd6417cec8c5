// Matrix products on the GPU: our kernel and its tile, or cuBLAS.
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "kernels/cuda/gemm.h"

namespace prefold::cuda {

// The least number of rows for which cuBLAS is used, by the weights' format (cublas_rows.h measures
// it); kNever: never.
struct CublasRows {
  static constexpr int32_t kNever = std::numeric_limits<int32_t>::max();
  int32_t dense = kNever;
  int32_t w8 = kNever;
  int32_t w4 = kNever;

  int32_t of(WeightFormat format) const;
  friend bool operator==(const CublasRows&, const CublasRows&) = default;
};

struct LinearContext {
  cudaStream_t stream = nullptr;
  int32_t n_sms = 0;  // multiprocessors of the device
  // Our own kernels only: an output's bits depend on its row of x and the weights alone.
  bool deterministic = false;
  CublasRows cublas_rows = {};
  cublasHandle_t cublas = nullptr;    // on `stream`; not used if deterministic
  std::span<std::byte> scratch = {};  // cublas_scratch_bytes of the largest matrix; as `cublas`
};

// Rows of activations in device memory, 16-byte aligned.
struct DeviceRows {
  const void* data = nullptr;
  FloatType type = FloatType::kF16;
  int32_t n_rows = 0;
  int64_t stride = 0;  // in elements, a multiple of 8
};

// Where a product goes; alignment and stride as above, the type as GemmOutput says.
struct LinearOut {
  void* data = nullptr;
  int64_t stride = 0;
  GemmOutput output = GemmOutput::kStore;
  float add_scale = 1.0f;  // with kAddF32
};

// out = x W^T (+ bias), x: (n_rows, n_in), out: (n_rows, n_out). With x in f32 (--precision exact)
// all is f32, kStore and kStoreF32 are the same, and the bits are those of the CPU's exact linear
// op. Nothing is done for 0 rows. Throws Error if a launch fails.
void linear(const LinearContext& context, const DeviceRows& x, const DeviceLinear& linear,
            const LinearOut& out);

// The largest tile with no more rows than needed that leaves every multiprocessor a block; larger
// tiles read x and weights less often. The smallest if there is none.
GemmTile choose_tile(int32_t n_rows, int32_t n_out, int32_t n_sms);

}  // namespace prefold::cuda
