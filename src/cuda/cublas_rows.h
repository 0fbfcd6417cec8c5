// From how many rows on cuBLAS is faster than our own kernels: measured on the device at hand.
#pragma once

#include <cstdint>
#include <functional>

#include "cuda/linear.h"

namespace prefold::cuda {

// Milliseconds that a product of n_rows rows takes, by cuBLAS or by our kernel.
using TimeLinearFn = std::function<double(bool use_cublas, int32_t n_rows)>;

// The least of the row counts 32, 64, 128, ... up to max_rows such that cuBLAS is faster there and
// at all larger ones of them; CublasRows::kNever if it is not at the last.
int32_t find_cublas_rows(const TimeLinearFn& time_ms, int32_t max_rows);

// find_cublas_rows for one matrix, timed with events on context.stream, the best of three each. x
// and out: x.n_rows = max_rows rows that hold any numbers; out is overwritten. Waits for the
// stream.
int32_t measure_cublas_rows(const LinearContext& context, const DeviceRows& x,
                            const DeviceLinear& linear, const LinearOut& out);

}  // namespace prefold::cuda
