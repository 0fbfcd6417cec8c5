// What this machine can do at most, measured by loops that do nothing else.
#pragma once

#include <string_view>

#include "base/tensor_type.h"
#include "base/thread_pool.h"
#include "ops/device.h"

namespace prefold {

struct MachinePeaks {
  double fma_flops = 0.0;               // all threads, f32, 2 a multiply-add
  double read_bytes_per_s = 0.0;        // all threads, from memory
  double expanded_weights_per_s = 0.0;  // all threads, of one weight type, from cache
};

// isa as CpuKernels::isa. Each takes a few milliseconds and returns the best of several runs.
double measure_fma_flops(std::string_view isa, ThreadPool& pool);
double measure_read_bytes_per_s(ThreadPool& pool);
double measure_expanded_weights_per_s(const Device& device, TensorType type);

}  // namespace prefold
