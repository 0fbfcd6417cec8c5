// The GPU that a run uses: the first that CUDA shows (CUDA_VISIBLE_DEVICES chooses another).
#pragma once

#include <cuda_runtime_api.h>

#include <optional>
#include <string>

#include "base/gpu_info.h"

namespace prefold::cuda {

// Empty, with the reason in why_not (one clause, no full stop), where the program cannot use a GPU:
// no driver, driver too old, no device, a device older than 7.5, no kernel image for the device, or
// any other error of CUDA's. Runs one small kernel to be sure, and leaves the device current.
std::optional<GpuInfo> find_cuda_device(std::string& why_not);

// The reason for a status that CUDA gave before or at the first launch. driver_version is what
// cudaDriverGetVersion says: 0 without a driver, else 1000 * major + 10 * minor.
std::string unavailable_reason(cudaError_t status, int driver_version);

}  // namespace prefold::cuda
