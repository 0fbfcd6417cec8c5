// What kernel_bench --device cuda launches: every kernel of a step on the shapes of Llama 3 8B
// (hidden size 4096, feed-forward 14336, 32 heads of 128 over 8 KV heads), in f16.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cuda/arena.h"
#include "cuda/device.h"
#include "cuda/error.h"

namespace prefold::cuda {

// Device memory of one case, with finite values in it.
class CaseMemory {
 public:
  explicit CaseMemory(const GpuInfo& device) : device_(device) {}

  const GpuInfo& device() const { return device_; }

  template <class T>
  T* upload(const std::vector<T>& values) {
    T* to = unwritten<T>(values.size());
    check_cuda("upload",
               cudaMemcpy(to, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
    return to;
  }
  template <class T>
  T* unwritten(size_t n) {
    return arenas_.emplace_back(n * sizeof(T)).template take<T>(n);
  }
  // f16 or f32 of magnitude 1/16 to 1/8; logits as a model gives them, normal with deviation 3;
  // bytes are any.
  uint16_t* halves(size_t n);
  float* floats(size_t n);
  float* logits(size_t n);
  uint8_t* bytes(size_t n);

 private:
  const GpuInfo& device_;
  std::vector<DeviceArena> arenas_;
  std::mt19937 random_{1};
};

struct CaseWork {
  double bytes = 0.0;  // that the operation must move from and to device memory
  double flops = 0.0;  // of its matrix products
  std::function<void(cudaStream_t)> launch;
};

struct CudaCase {
  std::string name;
  std::function<CaseWork(CaseMemory&)> make;
};

// In the order of a step.
std::vector<CudaCase> cuda_cases();
std::vector<CudaCase> gemm_cases();
std::vector<CudaCase> attention_cases();
// Of layers of experts as Qwen3-30B-A3B has them (hidden size 2048, feed-forward 768, 8 used), in
// W4; 32 of the 128 experts.
std::vector<CudaCase> expert_cases();
// Adapters of rank 16 on queries, keys and values: rows x adapters.
std::vector<CudaCase> lora_cases();

inline constexpr int32_t kHidden = 4096;
inline constexpr int32_t kIntermediate = 14336;
inline constexpr int32_t kHeads = 32;
inline constexpr int32_t kKvHeads = 8;
inline constexpr int32_t kHeadDim = 128;

}  // namespace prefold::cuda
