// The CUDA engine as the rest of a run sees it. In a build without CUDA there is no GPU, and that
// is the reason given.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/gpu_info.h"
#include "model/model_file.h"
#include "ops/attention.h"
#include "run/backend.h"
#include "run/options.h"

namespace prefold {

#ifdef PREFOLD_CUDA
inline constexpr bool kHasCudaEngine = true;
#else
inline constexpr bool kHasCudaEngine = false;
#endif

// Empty, with the reason in why_not, where this build or this machine has none that can be used.
std::optional<GpuInfo> find_gpu(std::string& why_not);

// What decides the memory of an engine that knows no job yet.
struct GpuNeeds {
  KvType kv_type = KvType::kF16;  // f16, bf16 or f32: of activations too
  bool deterministic = false;
  int32_t token_budget = 0;
  int32_t n_positions = 0;
};

// Throws Error naming what of the model the GPU's kernels cannot take.
GpuMemory gpu_memory(const ModelFile& model, const GpuInfo& gpu, const GpuNeeds& needs);
int64_t gpu_kv_bytes_per_block(KvType type, const ModelConfig& model);

// All arguments must outlive the backend.
std::unique_ptr<Backend> make_gpu_backend(const ModelFile& model, const RunConfig& config,
                                          ThreadPool& pool, const WarnFn& warn);

}  // namespace prefold
