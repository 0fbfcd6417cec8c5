// The adapters of a run in device memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/thread_pool.h"
#include "cuda/arena.h"
#include "kernels/cuda/lora.h"
#include "model/model_file.h"

namespace prefold::cuda {

struct CudaAdapters {
  int32_t n = 0;
  int32_t max_rank = 0;                        // padded
  const LoraDeviceMatrix* matrices = nullptr;  // by layer, LoraSite and adapter; device memory
  std::vector<bool> is_changed;                // by layer and LoraSite: whether any changes it

  const LoraDeviceMatrix* at(int32_t layer, LoraSite site) const {
    return matrices + place(layer, site) * static_cast<size_t>(n);
  }
  bool changes(int32_t layer, LoraSite site) const { return is_changed[place(layer, site)]; }

 private:
  static size_t place(int32_t layer, LoraSite site) {
    return static_cast<size_t>(layer) * kLoraSites + static_cast<size_t>(site);
  }
};

// Without addresses, before anything is read; and the bytes that they will take of an arena.
CudaAdapters plan_adapters(const ModelFile& model);
size_t adapter_bytes(const ModelFile& model);

// Reads and copies all of them. The arena has room for adapter_bytes.
CudaAdapters upload_adapters(const ModelFile& model, ThreadPool& pool, DeviceArena& arena);

}  // namespace prefold::cuda
