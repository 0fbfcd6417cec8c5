#include "kernels/cuda/sampler_slots.h"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads) start_slots(StartSlotsArgs args) {
  const StartedSlot start = args.starts[blockIdx.x];
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) args.slots[start.slot] = start.state;
  const int32_t* pages = args.new_pages + start.first_page;
  int32_t* slot_pages =
      args.pool.pages + static_cast<int64_t>(start.slot) * args.pool.pages_per_slot;
  for (int i = thread; i < start.n_pages; i += kThreads) slot_pages[i] = pages[i];
  for (int i = thread; i < start.state.n_changes; i += kThreads) {
    const int64_t at = static_cast<int64_t>(pages[i / kChangePage]) * kChangePage + i % kChangePage;
    args.pool.changes[at] = args.new_changes[start.first_change + i];
  }
}

}  // namespace

cudaError_t launch_start_slots(const StartSlotsArgs& args, cudaStream_t stream) {
  if (args.n_starts == 0) return cudaSuccess;
  start_slots<<<static_cast<unsigned>(args.n_starts), kThreads, 0, stream>>>(args);
  return cudaGetLastError();
}

}  // namespace prefold::cuda
