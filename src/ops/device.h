// Where ops run: the thread pool and the kernels of one instruction set. Does not own them.
#pragma once

#include "base/thread_pool.h"
#include "kernels/cpu/kernels.h"

namespace prefold {

struct Device {
  ThreadPool* pool = nullptr;
  const CpuKernels* kernels = nullptr;
};

}  // namespace prefold
