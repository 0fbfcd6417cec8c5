// Embeddings on the GPU: the rows of a step whose hidden states are wanted (StepPlan::sums and
// ::embeds), after the final norm, copied to the host; sums are kept and added to there.
//
// A step goes: begin_step; batch by batch the owner computes the norms of rows() into normed() and
// calls copy_batch; and when the device has come so far, take_results. kMaxSteps steps may lie
// between begin_step and take_results. All on one stream. Everything is allocated by the
// constructor, but for the sums themselves: one of n_cols f64 for each that is in use, on the host.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstdint>
#include <vector>

#include "cuda/arena.h"
#include "engine/hidden_sums.h"
#include "plan/step_plan.h"

namespace prefold::cuda {

struct EmbeddingLimits {
  int32_t max_rows = 0;  // of a step; 0: the job wants no embeddings, and nothing is allocated
  int32_t n_cols = 0;    // of a hidden state
};

// What an EmbeddingRows takes of its arenas.
size_t embedding_device_bytes(const EmbeddingLimits& limits);
size_t embedding_pinned_bytes(const EmbeddingLimits& limits);

class EmbeddingRows {
 public:
  static constexpr int32_t kMaxSteps = 2;     // in flight
  static constexpr int32_t kBatchRows = 256;  // that normed() has room for

  // The arenas outlive this and have room for the bytes above.
  EmbeddingRows(const EmbeddingLimits& limits, DeviceArena& device, PinnedArena& pinned);

  // Copies to the device which rows are wanted. place: as for Sampler. The plan may be given up
  // when this returns.
  void begin_step(const StepPlan& plan, std::span<const int32_t> place, cudaStream_t stream);

  // Of the step begun last: how many rows are wanted, and where the layers leave them, in device
  // memory; some twice, once for a sum and once by themselves.
  int32_t n_rows() const { return begun().n_rows; }
  const int32_t* rows() const { return device_rows_; }

  // (kBatchRows, n_cols) in device memory, for the norms of rows [first, first + kBatchRows).
  float* normed() const { return device_normed_; }

  // Starts the copy of n_rows of them, the first of which is row `first` of rows().
  void copy_batch(int32_t first, int32_t n_rows, cudaStream_t stream);

  // The embeddings of the oldest step not taken yet, into result.embeds. The stream must have done
  // its copies: the caller waits for an event behind them.
  void take_results(StepResult& result);

 private:
  struct Step {
    int32_t* pinned_rows = nullptr;
    float* pinned_normed = nullptr;  // in the order of rows()
    int32_t n_rows = 0;
    std::vector<SumRows> sums;  // as in the plan; their rows come first, in order
    std::vector<EmbedRow> embeds;
  };

  const Step& begun() const { return steps_[(n_begun_ - 1) % kMaxSteps]; }

  EmbeddingLimits limits_;
  int32_t* device_rows_ = nullptr;  // of the step begun last: the stream uses them in order
  float* device_normed_ = nullptr;
  HiddenSums sums_;
  std::array<Step, kMaxSteps> steps_;  // step n is in n % kMaxSteps
  int64_t n_begun_ = 0;
  int64_t n_taken_ = 0;
};

}  // namespace prefold::cuda
