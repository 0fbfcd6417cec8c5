// Where and how ops run: the thread pool, the kernels of one instruction set (it owns neither), and
// the precision of matrix products.
#pragma once

#include "base/thread_pool.h"
#include "kernels/cpu/kernels.h"

namespace prefold {

// What linear() rounds its inputs to: kExact not at all (f32), kFast to 8 bits, for quantised
// weights.
enum class Precision { kExact, kFast };

struct Device {
  ThreadPool* pool = nullptr;
  const CpuKernels* kernels = nullptr;
  Precision precision = Precision::kExact;
};

}  // namespace prefold
