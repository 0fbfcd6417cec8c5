// Errors, arenas and the device itself.
#include "cuda/device.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "base/error.h"
#include "cuda/arena.h"
#include "cuda/error.h"
#include "cuda/gpu_fixture.h"
#include "kernels/cuda/probe.h"

namespace prefold::cuda {
namespace {

// The text of the Error that `act` throws; empty if it throws none.
template <class Act>
std::string error_of(Act act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("the device tells its size, and a kernel runs on it [smoke]") {
  const GpuInfo& device = gpu();
  CHECK(device.cc_major * 10 + device.cc_minor >= 75);
  CHECK(device.sm_count > 0);
  CHECK(device.free_bytes > 0);
  CHECK(device.free_bytes <= device.memory_bytes);
  CHECK(device.shared_bytes_per_block >= 64 * 1024);

  DeviceBuffer<int32_t> out(1);
  run_kernel("probe", launch_probe({.out = out.data()}, nullptr));
  CHECK(out.download()[0] == kProbeValue);
}

TEST_CASE("no GPU: the reason says what to change") {
  CHECK(unavailable_reason(cudaErrorInsufficientDriver, 0) == "no NVIDIA driver is loaded");
  CHECK(contains(unavailable_reason(cudaErrorInsufficientDriver, 12020),
                 "too old: it supports CUDA 12.2, this program was built with 1"));
  CHECK(contains(unavailable_reason(cudaErrorUnsupportedPtxVersion, 13000), "CUDA 13.0"));
  CHECK(contains(unavailable_reason(cudaErrorNoDevice, 13000), "no NVIDIA GPU is visible"));
  CHECK(contains(unavailable_reason(cudaErrorNoKernelImageForDevice, 13000),
                 "built without code for the GPU"));
  CHECK(contains(unavailable_reason(cudaErrorECCUncorrectable, 13000),
                 "(cudaErrorECCUncorrectable)"));
}

TEST_CASE("an error names the action, CUDA's message and its name") {
  CHECK(error_of([] { check_cuda("copy of the tables", cudaSuccess); }).empty());
  CHECK(error_of([] { check_cuda("copy of the tables", cudaErrorInvalidValue); }) ==
        "CUDA: copy of the tables: invalid argument (cudaErrorInvalidValue)");
  CHECK(contains(error_of([] { check_launch("probe", cudaErrorInvalidConfiguration); }),
                 "CUDA: launch of probe: "));
}

TEST_CASE("a kernel's fault that a later call reports names the kernel launched last") {
  check_launch("probe", cudaSuccess);
  const std::string error = error_of([] { check_cuda("end of a step", cudaErrorIllegalAddress); });
  CHECK(contains(error, "CUDA: end of a step: "));
  CHECK(contains(error, "the kernel probe, launched last, or one before it failed"));
}

TEST_CASE("an arena hands out aligned pieces that do not overlap") {
  DeviceArena arena(arena_bytes(1) + arena_bytes(3 * sizeof(int32_t)));
  CHECK(arena.capacity() == 512);
  const auto* first = arena.take<uint8_t>(1);
  auto* second = arena.take<int32_t>(3);
  CHECK(reinterpret_cast<uintptr_t>(first) % kArenaAlignment == 0);
  CHECK(reinterpret_cast<uintptr_t>(second) - reinterpret_cast<uintptr_t>(first) == 256);
  CHECK(arena.used() == 512);

  run_kernel("probe", launch_probe({.out = second + 2}, nullptr));
  PinnedArena host(sizeof(int32_t));
  auto* value = host.take<int32_t>(1);
  check_cuda("download", cudaMemcpy(value, second + 2, sizeof(*value), cudaMemcpyDeviceToHost));
  CHECK(*value == kProbeValue);
}

TEST_CASE("an arena of no bytes is no error") {
  DeviceArena arena(0);
  CHECK(arena.take<float>(0) == nullptr);
  CHECK(arena.used() == 0);
}

TEST_CASE("an arena that does not fit says how much was wanted and how much is free") {
  const size_t too_much = static_cast<size_t>(gpu().memory_bytes) + (size_t{1} << 30);
  const std::string error = error_of([&] { DeviceArena arena(too_much); });
  CHECK(contains(error, "CUDA: allocation of "));
  CHECK(contains(error, " MiB of device memory, of which "));
  CHECK(contains(error, "(cudaErrorMemoryAllocation)"));

  // The failure leaves no pending error that a later launch would be blamed for.
  DeviceBuffer<int32_t> out(1);
  run_kernel("probe", launch_probe({.out = out.data()}, nullptr));
}

}  // namespace
}  // namespace prefold::cuda
