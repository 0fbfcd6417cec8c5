// From how many rows on a GPU's products are cuBLAS's: measured in the first run on a GPU with a
// model, then found in the cache. Only in builds with the CUDA engine.
#pragma once

#ifdef PREFOLD_CUDA

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/gpu_info.h"
#include "cuda/cublas_rows.h"
#include "cuda/cuda_weights.h"
#include "run/kept_json.h"

namespace prefold {

struct KeptCublasChoice {
  cuda::CublasChoice choice;
  bool is_cached = false;      // else measured by this run
  std::filesystem::path path;  // read from, or written to; may be empty
};

// All that the measurement depends on: our version, the GPU and how many multiprocessors of it,
// the versions of driver, runtime and cuBLAS, the type of activations, the most rows measured, and
// the shapes and formats of the matrices, the LM head's last. Throws Error if there is no cuBLAS.
nlohmann::ordered_json cublas_key(const GpuInfo& gpu, cuda::FloatType type, int32_t max_rows,
                                  int32_t max_output_rows, const cuda::CudaWeights& weights);

// None if none is kept. A file that is broken or holds another key's is warned of and left aside.
std::optional<KeptCublasChoice> find_cublas_choice(const nlohmann::ordered_json& key,
                                                   const std::filesystem::path& folder,
                                                   const WarnFn& warn);
KeptCublasChoice store_cublas_choice(const cuda::CublasChoice& choice,
                                     const nlohmann::ordered_json& key,
                                     const std::filesystem::path& folder, const WarnFn& warn);

// For the report.
nlohmann::ordered_json to_json(const KeptCublasChoice& kept);

}  // namespace prefold

#endif
