// What this machine can do at most, measured by loops that do nothing else.
#pragma once

#include <string_view>

#include "base/tensor_type.h"
#include "base/thread_pool.h"
#include "ops/device.h"

namespace prefold {

struct MachinePeaks {
  double multiply_add_flops = 0.0;      // all threads, 2 a multiply-add
  double read_bytes_per_s = 0.0;        // all threads, from memory
  double expanded_weights_per_s = 0.0;  // all threads, of one weight type, from cache
};

// With Precision::kFast the FMA peak becomes that of byte products: vpdpbusd on avx512vnni and
// avxvnni, vpmaddubsw with vpaddw on avx2 and avx512; scalar has none and keeps the FMA. isa as
// CpuKernels::isa. Each takes a few milliseconds and returns the best of several runs.
double measure_multiply_add_flops(std::string_view isa, Precision precision, ThreadPool& pool);
double measure_read_bytes_per_s(ThreadPool& pool);
double measure_expanded_weights_per_s(const Device& device, TensorType type);

}  // namespace prefold
