// The host's side of sampling on the GPU: slots and buffers in device memory, copies, launches.
//
// A step goes: begin_step, then for its items (samples, then scores, as in the plan) batch by batch
// enqueue, then finish_step; when the device has come so far, take_results. kMaxSteps steps may lie
// between begin_step and take_results. All on one stream. Everything is allocated by the
// constructor, from the limits.
//
// Each item has a row of logits of its own, also where several items name one row of the step (the
// choices of one prompt): the rows are changed in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cuda/arena.h"
#include "kernels/cuda/sampling.h"
#include "plan/step_plan.h"

namespace prefold::cuda {

// What one sequence of the job may need at most.
struct SlotDemand {
  const SamplingParams* params = nullptr;
  int32_t n_stop_ids = 0;
  int32_t n_prompt_tokens = 0;
  int32_t max_tokens = 0;  // to sample
};

struct SamplerLimits {
  int32_t n_vocab = 0;
  int32_t max_slots = 0;  // slots of a plan are below that
  int32_t max_items = 0;  // samples and scores of a step
  int32_t max_batch = 0;  // items, thus rows of logits, of one enqueue
  int32_t max_top = 0;    // alternatives that any request asks for
  // Of sampler_limits, from the job: tokens whose logits requests change. All 0 for a job without
  // penalties, logit_bias and min_tokens.
  int32_t max_slot_pages = 0;   // of one slot
  int64_t n_pages = 0;          // of all slots at once, whichever sequences hold them
  int64_t max_new_changes = 0;  // written by slot starts of one step
};

// The limits for a job of these sequences. max_items, max_batch: as above; max_scores_top: the most
// that a ScoreRow asks for.
SamplerLimits sampler_limits(std::span<const SlotDemand> demands, int32_t n_vocab,
                             int32_t max_slots, int32_t max_items, int32_t max_batch,
                             int32_t max_scores_top);

// What a Sampler takes of its arenas.
size_t sampler_device_bytes(const SamplerLimits& limits);
size_t sampler_pinned_bytes(const SamplerLimits& limits);

class Sampler {
 public:
  static constexpr int32_t kMaxSteps = 2;  // in flight

  // The arenas outlive this and have room for the bytes above.
  Sampler(const SamplerLimits& limits, DeviceArena& device, PinnedArena& pinned);

  // Copies the step's items and new slots to the device and starts these. The plan may be given up
  // when this returns.
  void begin_step(const StepPlan& plan, cudaStream_t stream);

  // Of the step begun last: items, and the step's row of each, in device memory, for the gather
  // before the LM head (norm.h). Valid until kMaxSteps further steps have begun.
  int32_t n_items() const;
  const int32_t* item_rows() const;

  // Items [first_item, first_item + n_rows) of the step begun last: samples from, or scores with,
  // the n_rows rows of logits, and updates slots. n_rows is at most max_batch.
  void enqueue(int32_t first_item, int32_t n_rows, float* logits, int64_t stride,
               cudaStream_t stream);

  // Starts the copy of the step's results to the host.
  void finish_step(cudaStream_t stream);

  // The results of the oldest step not taken yet, into result.samples and .scores. The stream must
  // have done its finish_step: the caller waits for an event behind it.
  void take_results(StepResult& result);

  // By slot, in device memory: the token it sampled last, for embed.h.
  const int32_t* last_tokens() const;
};

}  // namespace prefold::cuda
