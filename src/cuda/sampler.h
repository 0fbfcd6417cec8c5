// The host's side of sampling on the GPU: slots and buffers in device memory, copies, launches.
//
// A step goes: begin_step; for its items (samples, then scores, as in the plan) batch by batch
// enqueue; finish_step; and when the device has come so far, take_results. kMaxSteps steps may lie
// between begin_step and take_results. All on one stream. Everything on the device is allocated by
// the constructor, from the limits.
//
// Each item has a row of logits of its own, also where several items name one row of the step (the
// choices of one prompt): the rows are changed in place.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cuda/arena.h"
#include "kernels/cuda/logits.h"
#include "kernels/cuda/sampler_slots.h"
#include "kernels/cuda/sampling.h"
#include "plan/step_plan.h"

namespace prefold::cuda {

struct SamplerLimits {
  int32_t n_sms = 1;      // multiprocessors of the device
  int32_t n_vocab = 0;    // at most 2^23
  int32_t max_slots = 0;  // slots of a plan are below that
  int32_t max_items = 0;  // samples and scores of a step
  int32_t max_batch = 0;  // items, thus rows of logits, of one enqueue
  int32_t max_top = 0;    // alternatives that a score or a sample asks for; at most kMaxTop

  // Tokens whose logits requests change: of with_demands, from the job. All 0 for a job without
  // penalties, logit_bias and masked stop ids.
  int32_t max_slot_pages = 0;   // of one slot
  int64_t n_pages = 0;          // of all slots together; 2 KiB each
  int64_t max_new_changes = 0;  // written by slot starts of one step
};

// What one sequence of the job needs.
struct SlotDemand {
  const SamplingParams* params = nullptr;
  int32_t n_stop_ids = 0;
  int32_t n_prompt_tokens = 0;
  int32_t max_tokens = 0;  // to sample
};

// The limits with room for any max_slots of these sequences at once: max_top at least what their
// samples ask for, and the fields for changed logits. The other fields are the caller's.
SamplerLimits with_demands(SamplerLimits limits, std::span<const SlotDemand> demands);

// Blocks that walk each of so many rows together, so that the device is full; no result depends on
// it.
int32_t draw_row_blocks(int32_t n_rows, int32_t n_vocab, int32_t n_sms);

// What a Sampler takes of its arenas.
size_t sampler_device_bytes(const SamplerLimits& limits);
size_t sampler_pinned_bytes(const SamplerLimits& limits);

class Sampler {
 public:
  static constexpr int32_t kMaxSteps = 2;  // in flight

  // The arenas outlive this and have room for the bytes above.
  Sampler(const SamplerLimits& limits, DeviceArena& device, PinnedArena& pinned);

  // Copies the step's items and new slots to the device and starts these. place: where the layers
  // leave each row of the plan; empty: where it was. The plan may be given up when this returns.
  void begin_step(const StepPlan& plan, std::span<const int32_t> place, cudaStream_t stream);

  // Of the step begun last: how many items it has, and the step's row of each, in device memory,
  // for the gather before the LM head (norm.h). Valid until kMaxSteps further steps have begun.
  int32_t n_items() const { return begun().n_items; }
  const int32_t* item_rows() const { return begun().device_rows; }

  // Items [first_item, first_item + n_rows) of the step begun last: samples from, or scores with,
  // the n_rows <= max_batch rows of logits, `stride` (a multiple of 4) elements apart and 16-byte
  // aligned, and updates slots. What is in the rows afterwards is of no use.
  void enqueue(int32_t first_item, int32_t n_rows, float* logits, int64_t stride,
               cudaStream_t stream);

  // Starts the copy of the step's results to the host.
  void finish_step(cudaStream_t stream);

  // The results of the oldest step not taken yet, into result.samples and .scores. The stream must
  // have done its finish_step: the caller waits for an event behind it.
  void take_results(StepResult& result);

  // By slot, in device memory: the token it sampled last, for embed.h.
  const int32_t* last_tokens() const { return last_tokens_; }

 private:
  struct Slot {  // what the host remembers of it
    std::optional<int32_t> logprobs;
    bool draws = false;  // is not greedy
    bool cuts = false;   // and has top_k or top_p
    std::vector<int32_t> pages;
  };
  struct Step {
    std::byte* pinned = nullptr;  // items, their rows, slot starts, on their way
    std::byte* device = nullptr;  // the same there
    TokenResult* pinned_results = nullptr;
    const TokenItem* items = nullptr;  // in pinned
    const TokenItem* device_items = nullptr;
    const int32_t* device_rows = nullptr;
    int32_t n_samples = 0;
    int32_t n_items = 0;
    int32_t n_top = 0;       // of all items together
    bool has_draws = false;  // and cuts: as the slots of its samples
    bool has_cuts = false;
  };
  class Upload;

  const Step& begun() const { return steps_[(n_begun_ - 1) % kMaxSteps]; }
  void write_items(const StepPlan& plan, std::span<const int32_t> place, Upload& upload,
                   Step& step);
  StartSlotsArgs write_starts(const StepPlan& plan, Upload& upload);
  StartedSlot start_slot(const SlotStart& start);

  SamplerLimits limits_;
  std::vector<Slot> slots_;
  std::vector<int32_t> free_pages_;
  std::vector<LogitChange> new_changes_;  // of a step's starts

  SamplerSlot* device_slots_ = nullptr;
  int32_t* last_tokens_ = nullptr;
  ChangePool pool_;
  LogitsPart* parts_ = nullptr;
  LogitsPart* changed_parts_ = nullptr;
  DrawState* draws_ = nullptr;
  uint64_t* candidates_ = nullptr;
  unsigned long long* piece_masses_ = nullptr;
  TokenResult* results_ = nullptr;  // of the step begun last: items, then their best tokens

  std::array<Step, kMaxSteps> steps_;  // step n is in n % kMaxSteps
  int64_t n_begun_ = 0;
  int64_t n_taken_ = 0;
};

}  // namespace prefold::cuda
