#include "cuda/device.h"

#include <fmt/format.h>

#include "kernels/cuda/probe.h"

namespace prefold::cuda {
namespace {

std::string version(int cuda_version) {
  return fmt::format("{}.{}", cuda_version / 1000, cuda_version % 1000 / 10);
}

std::string reason_now(cudaError_t status) {
  int driver_version = 0;
  (void)cudaDriverGetVersion(&driver_version);
  (void)cudaGetLastError();  // the caller goes on without CUDA, or tries again
  return unavailable_reason(status, driver_version);
}

cudaError_t run_probe() {
  int32_t* out = nullptr;
  cudaError_t status = cudaMalloc(reinterpret_cast<void**>(&out), sizeof(*out));
  if (status != cudaSuccess) return status;
  int32_t value = 0;
  status = launch_probe({.out = out}, nullptr);
  if (status == cudaSuccess)
    status = cudaMemcpy(&value, out, sizeof(value), cudaMemcpyDeviceToHost);
  (void)cudaFree(out);
  if (status == cudaSuccess && value != kProbeValue) status = cudaErrorLaunchFailure;
  return status;
}

cudaError_t read_info(int device, GpuInfo& info) {
  cudaDeviceProp properties;
  cudaError_t status = cudaGetDeviceProperties(&properties, device);
  if (status != cudaSuccess) return status;
  info.name = properties.name;
  info.cc_major = properties.major;
  info.cc_minor = properties.minor;
  info.sm_count = properties.multiProcessorCount;
  info.l2_bytes = properties.l2CacheSize;
  info.shared_bytes_per_block = static_cast<int64_t>(properties.sharedMemPerBlockOptin);
  status = cudaDriverGetVersion(&info.driver_version);
  if (status != cudaSuccess) return status;
  status = cudaRuntimeGetVersion(&info.runtime_version);
  if (status != cudaSuccess) return status;
  size_t n_free = 0, n_total = 0;
  status = cudaMemGetInfo(&n_free, &n_total);
  info.free_bytes = static_cast<int64_t>(n_free);
  info.memory_bytes = static_cast<int64_t>(n_total);
  return status;
}

}  // namespace

std::string unavailable_reason(cudaError_t status, int driver_version) {
  switch (status) {
    case cudaErrorInsufficientDriver:
      if (driver_version == 0) return "no NVIDIA driver is loaded";
      [[fallthrough]];
    case cudaErrorUnsupportedPtxVersion:
      return fmt::format(
          "the NVIDIA driver is too old: it supports CUDA {}, this program was built with {}",
          version(driver_version), version(CUDART_VERSION));
    case cudaErrorNoDevice:
      return "no NVIDIA GPU is visible (CUDA_VISIBLE_DEVICES may hide one)";
    case cudaErrorNoKernelImageForDevice:
      return "this program was built without code for the GPU";
    default:
      return fmt::format("{} ({})", cudaGetErrorString(status), cudaGetErrorName(status));
  }
}

std::optional<GpuInfo> find_cuda_device(std::string& why_not) {
  const auto unavailable = [&](cudaError_t status) {
    why_not = reason_now(status);
    return std::nullopt;
  };
  constexpr int kDevice = 0;
  int n_devices = 0;
  cudaError_t status = cudaGetDeviceCount(&n_devices);
  if (status == cudaSuccess && n_devices == 0) status = cudaErrorNoDevice;
  if (status == cudaSuccess) status = cudaSetDevice(kDevice);
  if (status != cudaSuccess) return unavailable(status);

  GpuInfo info;
  status = read_info(kDevice, info);
  if (status != cudaSuccess) return unavailable(status);
  if (info.cc_major * 10 + info.cc_minor < 75) {
    why_not = fmt::format("{} has compute capability {}.{}; 7.5 is needed", info.name,
                          info.cc_major, info.cc_minor);
    return std::nullopt;
  }
  status = run_probe();
  if (status != cudaSuccess) return unavailable(status);
  return info;
}

}  // namespace prefold::cuda
