// Entries of a slot's changes.
#pragma once

#include "kernels/cuda/sampler_slots.h"

namespace prefold::cuda {

__device__ inline LogitChange& change_at(const ChangePool& pool, int32_t slot, int32_t i) {
  const int64_t page =
      pool.pages[static_cast<int64_t>(slot) * pool.pages_per_slot + i / kChangePage];
  return pool.changes[page * kChangePage + i % kChangePage];
}

}  // namespace prefold::cuda
