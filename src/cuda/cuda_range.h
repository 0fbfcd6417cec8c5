// Named ranges around the phases of a step, for Nsight Systems' timeline. Without a profiler one
// costs a few nanoseconds (NVTX 3: headers only).
#pragma once

#include <nvtx3/nvToolsExt.h>

namespace prefold::cuda {

class Range {
 public:
  explicit Range(const char* name) { nvtxRangePushA(name); }
  ~Range() { nvtxRangePop(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};

}  // namespace prefold::cuda
