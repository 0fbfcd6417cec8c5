#include "cuda/arena.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/check.h"
#include "cuda/error.h"

namespace prefold::cuda {
namespace {

double mib(size_t n_bytes) { return static_cast<double>(n_bytes) / (1 << 20); }

// Owners end after errors too, when CUDA may refuse everything: nothing could be done about it.
void free_device(void* p) { (void)cudaFree(p); }
void free_pinned(void* p) { (void)cudaFreeHost(p); }

void* allocate_device(size_t n_bytes) {
  void* p = nullptr;
  const cudaError_t status = cudaMalloc(&p, n_bytes);
  if (status == cudaErrorMemoryAllocation) {
    size_t n_free = 0, n_total = 0;
    check_cuda("size of device memory", cudaMemGetInfo(&n_free, &n_total));
    const std::string what = fmt::format(
        "allocation of {:.1f} MiB of device memory, of which {:.1f} of {:.1f} MiB are free",
        mib(n_bytes), mib(n_free), mib(n_total));
    check_cuda(what.c_str(), status);
  }
  check_cuda("allocation of device memory", status);
  return p;
}

void* allocate_pinned(size_t n_bytes) {
  void* p = nullptr;
  const std::string what =
      fmt::format("allocation of {:.1f} MiB of page-locked memory", mib(n_bytes));
  check_cuda(what.c_str(), cudaMallocHost(&p, n_bytes));
  return p;
}

}  // namespace

void* Arena::take_elements(size_t n, size_t element_bytes) {
  CHECK(n <= (capacity_ - used_) / element_bytes);
  const size_t n_bytes = n * element_bytes;
  void* piece = static_cast<char*>(memory_.get()) + used_;
  used_ = std::min(capacity_, used_ + arena_bytes(n_bytes));
  return piece;
}

DeviceArena::DeviceArena(size_t n_bytes)
    : Arena(Memory(allocate_device(n_bytes), free_device), n_bytes) {}

PinnedArena::PinnedArena(size_t n_bytes)
    : Arena(Memory(allocate_pinned(n_bytes), free_pinned), n_bytes) {}

}  // namespace prefold::cuda
