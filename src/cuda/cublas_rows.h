// From how many rows on cuBLAS is faster than our own kernels: measured on the device at hand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "cuda/linear.h"

namespace prefold::cuda {

// For the layers by format, and for the LM head, whose product goes to f32 and has more outputs
// than any other.
struct CublasChoice {
  CublasRows layers;
  int32_t output = CublasRows::kNever;
};

// Milliseconds that a product of n_rows rows takes, by cuBLAS or by our kernel.
using TimeLinearFn = std::function<double(bool use_cublas, int32_t n_rows)>;

// The largest of the row counts that are measured, 32, 64, 128, ..., up to max_rows; 0 if there is
// none.
int32_t last_measured_rows(int32_t max_rows);

// The least of these counts such that cuBLAS is faster there and at all larger ones of them;
// CublasRows::kNever if it is not at the last.
int32_t find_cublas_rows(const TimeLinearFn& time_ms, int32_t max_rows);

// Device memory for measuring, 16-byte aligned: x holds max_rows rows of the longest n_in, of any
// numbers, in T; out, which is overwritten, as many of the largest n_out, as `output` says.
struct MeasuringBuffers {
  FloatType type = FloatType::kF16;  // T: kF16 or kBf16
  GemmOutput output = GemmOutput::kStore;
  int32_t max_rows = 0;
  std::span<std::byte> x, out;
};

// find_cublas_rows for the largest matrix of each format among `linears`, timed with events on
// context.stream, the best of three each; kNever for a format that none has. Waits for the stream.
CublasRows measure_cublas_rows(const LinearContext& context,
                               std::span<const DeviceLinear* const> linears,
                               const MeasuringBuffers& buffers);

}  // namespace prefold::cuda
