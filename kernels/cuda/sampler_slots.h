// What the sampling kernels know about running sequences: slots in device memory, and the tokens
// (items) that a step asks for. The rules of sampling are those of src/engine/sampler.h.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace prefold::cuda {

// What a request, and what it has sampled, change about the logit of one token. Masks, logit_bias
// and penalties of a token are one entry; a slot's entries have distinct ids.
struct alignas(16) LogitChange {
  static constexpr uint32_t kMasked = 1u << 31;     // a stop id: not before min_tokens
  static constexpr uint32_t kPenalized = 1u << 30;  // of the prompt or the output
  static constexpr uint32_t kCountMask = kPenalized - 1;

  int32_t id = 0;
  uint32_t flags = 0;  // and how often it is in the output: flags & kCountMask
  float bias = 0.0f;
  float raw = 0.0f;  // the logit before the change, while a token is chosen
};

// Entries lie in pages of a pool, so that slots of any need share it without gaps: entry i of slot
// s is changes[pages[s * pages_per_slot + i / kChangePage] * kChangePage + i % kChangePage].
inline constexpr int32_t kChangePage = 128;

struct ChangePool {
  LogitChange* changes = nullptr;
  int32_t* pages = nullptr;    // (n_slots, pages_per_slot)
  int32_t pages_per_slot = 0;  // 0: no request of the job changes logits
};

// SamplerState of src/engine/sampler.h without its last token.
struct alignas(16) SamplerSlot {
  uint64_t key = 0;
  float temperature = 1.0f;
  float top_p = 1.0f;
  float min_p = 0.0f;
  int32_t top_k = 0;
  float repetition_penalty = 1.0f;
  float frequency_penalty = 0.0f;
  float presence_penalty = 0.0f;
  int32_t min_tokens = 0;
  int32_t n_sampled = 0;
  int32_t n_changes = 0;
  int32_t max_changes = 0;     // of which there are pages
  int32_t counts_outputs = 0;  // 1: a penalty counts what is sampled
};

// A slot that a sequence takes. Its entries and pages are parts of two arrays of the step.
struct alignas(16) StartedSlot {
  SamplerSlot state;
  int32_t slot = 0;
  int32_t first_change = 0;  // state.n_changes of them
  int32_t first_page = 0;    // enough of them for state.max_changes
  int32_t n_pages = 0;
};

// A token that a step asks for, of one row of logits: drawn for a slot, or given (a score).
struct alignas(16) TokenItem {
  int32_t slot = 0;       // of a draw
  int32_t target = 0;     // of a score
  int32_t first_top = 0;  // where the n_top best go in the results
  uint8_t n_top = 0;      // at most kMaxTop; those there are not have the id kNoToken
  bool is_score = false;
  bool wants_logprob = false;  // raw; always true of a score
};
inline constexpr int32_t kMaxTop = 20;
inline constexpr int32_t kNoToken = -1;

struct alignas(8) TokenResult {
  int32_t id = 0;
  float logprob = 0.0f;  // natural logarithm
};

struct StartSlotsArgs {
  const StartedSlot* starts = nullptr;
  int32_t n_starts = 0;  // 0: nothing is launched
  const LogitChange* new_changes = nullptr;
  const int32_t* new_pages = nullptr;
  SamplerSlot* slots = nullptr;
  ChangePool pool;
};

// Writes the slots' states, page tables and first entries. A block of 128 threads a slot.
[[nodiscard]] cudaError_t launch_start_slots(const StartSlotsArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
