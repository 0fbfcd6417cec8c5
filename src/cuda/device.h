// The GPU that a run uses: the first that CUDA shows (CUDA_VISIBLE_DEVICES chooses another).
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace prefold::cuda {

struct DeviceInfo {
  std::string name;
  int32_t cc_major = 0, cc_minor = 0;  // compute capability
  int32_t sm_count = 0;
  size_t total_bytes = 0, free_bytes = 0;  // device memory, when looked at
  size_t l2_bytes = 0;
  size_t shared_bytes_per_sm = 0;
  size_t shared_bytes_per_block = 0;  // the most one block may opt in to
  int32_t threads_per_sm = 0;
  int32_t registers_per_sm = 0;
  int32_t clock_khz = 0, memory_clock_khz = 0, memory_bus_bits = 0;  // 0 where not told
};

// Empty, with the reason in why_not (one clause, no full stop), where the program cannot use a GPU:
// no driver, driver too old, no device, a device older than 7.5, no kernel image for the device, or
// any other error of CUDA's. Runs one small kernel to be sure, and leaves the device current.
std::optional<DeviceInfo> find_cuda_device(std::string& why_not);

// The reason for a status that CUDA gave before or at the first launch. driver_version is what
// cudaDriverGetVersion says: 0 without a driver, else 1000 * major + 10 * minor.
std::string unavailable_reason(cudaError_t status, int driver_version);

}  // namespace prefold::cuda
