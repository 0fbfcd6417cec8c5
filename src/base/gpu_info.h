// A GPU as a run, its report and the CUDA engine speak of it.
#pragma once

#include <cstdint>
#include <string>

namespace prefold {

struct GpuInfo {
  std::string name;
  int32_t cc_major = 0, cc_minor = 0;  // compute capability
  int32_t sm_count = 0;                // multiprocessors
  int64_t memory_bytes = 0;
  int64_t free_bytes = 0;  // of it, before the run took any
  int64_t l2_bytes = 0;
  int64_t shared_bytes_per_block = 0;  // the most one block may opt in to
  // Of CUDA's driver and runtime: 1000 * major + 10 * minor.
  int32_t driver_version = 0, runtime_version = 0;
};

}  // namespace prefold
