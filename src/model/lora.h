// Adapters (LoRA, arXiv 2106.09685) on disk: what they change of a model's matrices. W x becomes
// W x + scale B (A x), A: (rank, n_in), B: (n_out, rank).
//
// Two formats, each for models of both: the folders that PEFT writes, and GGUF adapters. As with
// models, all is checked against the model when a file is opened, and no value read yet.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/thread_pool.h"
#include "model/config.h"
#include "model/stored_tensor.h"

namespace prefold {

inline constexpr int64_t kMaxLoraRank = 1024;

// The matrices that adapters can change: those of attention and of feed-forward blocks without
// experts.
enum class LoraSite : uint8_t { kQ, kK, kV, kO, kGate, kUp, kDown };
inline constexpr int32_t kLoraSites = 7;

// "attn_q", as in model_tensors.h.
std::string_view name_of(LoraSite site);

struct LoraShape {
  int32_t n_out = 0;
  int32_t n_in = 0;
};
// Of the matrix W; 0 x 0 where the layer has none (gates, layers of experts).
LoraShape lora_shape(const ModelConfig& config, int32_t layer, LoraSite site);

// How the rows of a query or key head lie in the file and in the model: the members of a rotary
// pair as neighbours, or half a head apart.
enum class HeadOrder : uint8_t { kSame, kHalvesToPairs, kPairsToHalves };

// One changed matrix. Row r of B is the stored row
//   first_row + r' / run_rows * stride_rows + r' % run_rows,
// r' being r put into the file's order inside its head.
struct LoraMatrix {
  int32_t layer = 0;
  LoraSite site = LoraSite::kQ;
  int32_t rank = 0;
  float scale = 0.0f;
  StoredTensor a;  // (rank, n_in)
  StoredTensor b;  // (outputs of the stored matrix, which may be several fused ones; rank)
  int64_t first_row = 0;
  int64_t run_rows = 1;
  int64_t stride_rows = 1;
  HeadOrder order = HeadOrder::kSame;
};

struct LoraFile {
  std::string path;               // as the user gave it
  std::string format;             // "PEFT", "GGUF v3"
  std::vector<MappedFile> files;  // what StoredTensor::file counts
  std::vector<LoraMatrix> matrices;
  // Names in PEFT's target_modules of which the file has no tensors in any layer: to be told, since
  // the model may have such matrices, which this adapter then leaves alone.
  std::vector<std::string> absent_targets;
};

struct ModelFile;

// path: a PEFT folder or a GGUF file. Throws Error (missing, unreadable) or FormatError naming
// file, key or tensor, value and what was wanted: also of what changes a model otherwise than by
// A and B, or changes what the model has not.
LoraFile open_lora(const std::string& path, const ModelFile& model);

// Row-major. b is times scale, rounded once.
struct LoraValues {
  std::vector<float> a;  // (rank, n_in)
  std::vector<float> b;  // (n_out, rank)
};
LoraValues read_lora(const LoraFile& file, const LoraMatrix& matrix, const ModelConfig& config,
                     ThreadPool& pool);

}  // namespace prefold
