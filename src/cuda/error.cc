#include "cuda/error.h"

#include <string>

#include "base/error.h"

namespace prefold::cuda {
namespace {

thread_local const char* last_kernel = nullptr;

// Faults of a running kernel: reported by whichever call comes after it.
bool is_kernel_fault(cudaError_t status) {
  switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorIllegalInstruction:
    case cudaErrorInvalidPc:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchTimeout:
    case cudaErrorLaunchFailure:
    case cudaErrorAssert:
      return true;
    default:
      return false;
  }
}

[[noreturn]] void fail(const std::string& what, cudaError_t status) {
  std::string message =
      fmt::format("CUDA: {}: {} ({})", what, cudaGetErrorString(status), cudaGetErrorName(status));
  if (is_kernel_fault(status) && last_kernel != nullptr) {
    message += fmt::format(
        "; the kernel {}, launched last, or one before it failed: CUDA_LAUNCH_BLOCKING=1 in the "
        "environment and --cuda-graphs off show which",
        last_kernel);
  }
  (void)cudaGetLastError();
  throw Error(message);
}

}  // namespace

void check_cuda(const char* what, cudaError_t status) {
  if (status != cudaSuccess) [[unlikely]]
    fail(what, status);
}

void check_launch(const char* kernel, cudaError_t status) {
  last_kernel = kernel;
  if (status != cudaSuccess) [[unlikely]]
    fail(fmt::format("launch of {}", kernel), status);
}

}  // namespace prefold::cuda
