// The smallest kernel: shows that this program has code for the GPU at hand and that it runs.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace prefold::cuda {

inline constexpr int32_t kProbeValue = 0x70726f62;

struct ProbeArgs {
  int32_t* out = nullptr;  // one element of device memory; becomes kProbeValue
};

// One thread, no shared memory.
[[nodiscard]] cudaError_t launch_probe(const ProbeArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
