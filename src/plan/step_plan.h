// What passes between the scheduler and an engine: one forward pass over packed rows.
//
// Rows of many sequences lie end to end without padding (Prepacking, arXiv 2404.09529), unless it
// is asked for to see what that brings; prefill chunks and decode rows share a step (Sarathi-Serve,
// arXiv 2403.02310). The plan speaks of tokens,
// blocks and slots only. A slot is an engine-side place for one running sequence: its last sampled
// token, its sampling parameters and token counts.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "plan/request_params.h"
#include "plan/row_span.h"

namespace prefold {

// A sequence takes a slot with its first sample and keeps it to its end, also while it yields its
// KV blocks. `prompt` is what repetition_penalty counts as prompt.
struct SlotStart {
  int32_t slot = 0;
  const SamplingParams* params = nullptr;  // owned by the job, which outlives the run
  std::span<const int32_t> stop_ids;       // never sampled before min_tokens; owned by the job
  std::span<const int32_t> prompt;         // owned by the job
  uint64_t key = 0;                        // of the counter-based generator: request and choice
  int32_t max_tokens = 0;                  // that it will sample at most
};

// Logits of `row` are used to sample the next token of `slot`.
struct SampleRow {
  int32_t row = 0;
  int32_t slot = 0;
};

// Log-probabilities of token `target` (and n_top best) after `row`: prompt_logprobs, echo.
struct ScoreRow {
  int32_t row = 0;
  int32_t target = 0;
  int32_t n_top = 0;
};

// The hidden states of rows [first_row, first_row + n_rows), after the final norm, are added in row
// order to the sum `slot`, which starts from the sum `from` (a copy: others may start from it too),
// or from 0 if that is kFromZero. Sums are engine-side, one of hidden_size f64 a slot.
struct SumRows {
  static constexpr int32_t kFromZero = -1;
  int32_t first_row = 0;
  int32_t n_rows = 0;
  int32_t slot = 0;
  int32_t from = kFromZero;  // may be `slot` itself
};

// An embedding: the hidden state of `row` after the final norm, or, if sum_slot is not kNoSum, what
// that sum is once all SumRows of the step have been added.
struct EmbedRow {
  static constexpr int32_t kNoSum = -1;
  int32_t row = 0;
  int32_t sum_slot = kNoSum;
};

struct StepPlan {
  int64_t step_idx = 0;
  std::vector<BlockCopy> copies;
  std::vector<SlotStart> slot_starts;

  // One entry a row. A row's input is token_ids[row], or, where that is kFromSlot, the token that
  // slot input_slots[row] sampled last: so a step can be planned before the one before it is done.
  static constexpr int32_t kFromSlot = -1;
  std::vector<int32_t> token_ids;
  std::vector<int32_t> input_slots;
  std::vector<int32_t> positions;

  // The last rows may be padding: they belong to no sequence and no span, go through everything
  // that treats rows one by one, and are left out by attention and the KV cache.
  int32_t n_padding_rows = 0;

  // In row order; each adapter at most once, since its rows lie together. Rows in none have none.
  std::vector<AdapterRows> adapters;

  std::vector<RowSpan> spans;  // cover all rows but padding, in row order
  std::vector<int32_t> block_ids;
  std::vector<SharedSegment> segments;

  std::vector<SampleRow> samples;  // in row order; several may name one row
  std::vector<ScoreRow> scores;    // in row order
  std::vector<SumRows> sums;       // in row order; no two write one slot
  std::vector<EmbedRow> embeds;    // in row order

  int32_t n_rows() const { return static_cast<int32_t>(token_ids.size()); }  // with padding
};

struct SampledToken {
  int32_t id = 0;
  float logprob = 0.0f;                        // raw; valid if logprobs were asked for
  std::vector<std::pair<int32_t, float>> top;  // id, raw logprob; as many as asked for
};

struct StepResult {
  int64_t step_idx = 0;
  std::vector<SampledToken> samples;       // as StepPlan::samples
  std::vector<SampledToken> scores;        // as StepPlan::scores; id is the target
  std::vector<std::vector<float>> embeds;  // as StepPlan::embeds; hidden_size values each
};

}  // namespace prefold
