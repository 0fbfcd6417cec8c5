// The CUDA backend: two steps in flight, so that the next one is planned while one runs.
//
// A step's tables are built in page-locked memory and copied at once; its kernels follow on one
// stream, then the copy of its results and an event, for which wait waits. So steps never overlap
// on the device, and what one leaves there (KV, slots) the next one finds. Everything is allocated
// by the constructor.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include "cuda/arena.h"
#include "cuda/cublas_linear.h"
#include "cuda/cublas_rows.h"
#include "cuda/cuda_ops.h"
#include "cuda/cuda_step_tables.h"
#include "cuda/cuda_weights.h"
#include "cuda/cuda_workspace.h"
#include "cuda/device.h"
#include "cuda/embedding_rows.h"
#include "cuda/sampler.h"
#include "cuda/step_graphs.h"
#include "engine/engine.h"
#include "model/config.h"

namespace prefold::cuda {

struct CudaEngineOptions {
  FloatType type = FloatType::kF16;  // of activations and KV cache; kF32: --precision exact
  bool deterministic = false;        // our own matrix products only
  bool graphs = true;                // steps of few rows are replayed
  std::optional<CublasChoice> cublas_choice;  // of an engine like this; none: it is measured
  int32_t token_budget = 0;
  int32_t n_positions = 0;  // of the longest sequence
  int32_t allowed_len = 0;  // of the longest that the run allows: RunConfig::allowed_len
  int32_t n_kv_blocks = 0;
  // Of the job: what its sequences need of sampling, and the most of a step.
  std::vector<SlotDemand> demands;
  int32_t max_slots = 0;       // slots of a plan are below that
  int32_t max_items = 0;       // samples and scores of a step
  int32_t max_scores_top = 0;  // the most that a ScoreRow asks for
  bool embeds = false;         // plans have sums and embeds
};

// Throws Error naming what of the model the kernels cannot take. Matrices: plan_weights.
void check_model(const ModelConfig& config);

// Whether an engine leaves products of many rows to cuBLAS, where that is faster; and up to how
// many rows that is measured, of the layers and of the LM head.
bool uses_cublas(const CudaEngineOptions& options);
int32_t most_measured_rows(const CudaEngineOptions& options);
int32_t most_measured_output_rows(const CudaEngineOptions& options);

// Bytes that an engine takes. A job is not needed to know about: without demands, those of one that
// changes no logits.
struct CudaEngineBytes {
  size_t work = 0;    // device memory: activations, tables, sampling, embeddings
  size_t kv = 0;      // device memory
  size_t pinned = 0;  // of the host
};
CudaEngineBytes engine_bytes(const CudaEngineOptions& options, const ModelConfig& config,
                             const CudaWeights& shapes, const GpuInfo& device);

class CudaEngine : public Engine {
 public:
  static constexpr int32_t kMaxSteps = 2;

  // config and weights must outlive the engine. Throws Error if something cannot be allocated.
  CudaEngine(const CudaEngineOptions& options, const ModelConfig& config,
             const CudaWeights& weights, const GpuInfo& device);
  ~CudaEngine() override;

  int32_t max_steps_in_flight() const override { return kMaxSteps; }
  void submit(const StepPlan& plan) override;
  StepResult wait() override;

  GraphCounts graph_counts() const;
  const CublasChoice& cublas_choice() const { return cublas_choice_; }

 private:
  struct StreamEnd {
    void operator()(cudaStream_t stream) const;
  };
  struct EventEnd {
    void operator()(cudaEvent_t event) const;
  };
  using Stream = std::unique_ptr<std::remove_pointer_t<cudaStream_t>, StreamEnd>;
  using Event = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, EventEnd>;
  struct Flight {
    int64_t step_idx = 0;
    bool has_rows = false;
    Event done;
  };
  struct Sizes;

  CudaEngine(const CudaEngineOptions& options, const ModelConfig& config,
             const CudaWeights& weights, const GpuInfo& device, const Sizes& sizes);
  void settle_cublas(const CudaEngineOptions& options);
  void allocate_kv(const CudaEngineOptions& options);
  void launch(const StepPlan& plan, cudaEvent_t done);
  StepTables upload(const StepPlan& plan, int32_t n_recorded_rows);
  void launch_embeddings(const CudaActivations& act);
  void launch_head(const CudaActivations& act);

  const ModelConfig& config_;
  Stream stream_;
  DeviceArena work_arena_;
  std::optional<DeviceArena> kv_arena_;
  PinnedArena pinned_arena_;
  CudaWorkspace workspace_;
  StepTableBuilder tables_;
  WantedRows wanted_;
  Sampler sampler_;
  EmbeddingRows embedding_rows_;
  std::optional<CublasHandle> cublas_;
  CublasChoice cublas_choice_;
  CudaContext context_;
  std::optional<StepGraphs> graphs_, adapted_graphs_;  // of steps without and with adapters
  int32_t max_step_rows_, max_logit_rows_;
  Flight flights_[kMaxSteps];
  int64_t n_submitted_ = 0, n_taken_ = 0;

  friend CudaEngineBytes engine_bytes(const CudaEngineOptions&, const ModelConfig&,
                                      const CudaWeights&, const GpuInfo&);
};

}  // namespace prefold::cuda
