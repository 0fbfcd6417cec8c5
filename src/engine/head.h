// The end of a step: LM head, samples and scores, fused tile by tile.
//
// The logits of all rows that need them come as tiles of rows x ids, each while it is in the cache
// of the core that computed it (linear_tiles). In the tile:
//
//   - a greedy sample without log-probabilities has its masks, bias and penalties applied and its
//     best token found. Nothing else of it is kept: a greedy job never has a row of logits in
//     memory.
//   - a row of which more is asked (a draw, log-probabilities, scores) is written to the kept rows.
//     Weights are relative to the row's maximum, and the draw needs their sum, so such a row is
//     looked at again once it is whole: by sample and score (sampler.h).
//
// At most kMaxKeptRows rows are kept at a time. A step with more of them runs the head in several
// passes over parts of its rows; without them there is one pass, whatever the number of rows.
//
// The best token of a row is that of one total order, found tile by tile and then thread by thread;
// so neither the tiles nor the threads change it, and every answer is that of sample and score on
// the whole row (invariant I6).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/aligned_vector.h"
#include "engine/sampler.h"
#include "model/transformer.h"
#include "plan/step_plan.h"

namespace prefold {

class Head {
 public:
  // Enough rows to pay for reading the LM head's weights, few enough for a large vocabulary.
  static constexpr int32_t kMaxKeptRows = 64;

  // All arguments but the last must outlive this.
  Head(const Device& device, const ModelConfig& config, const Weights& weights, int32_t max_rows);

  // Samples and scores what `plan` asks for after `hidden`, the rows of the forward pass, into
  // `result`, and updates the slots that sample. Adds to times.lm_head and to sampling_s what was
  // spent in the tiles and on whole rows.
  void run(const StepPlan& plan, ConstRows hidden, std::span<SamplerState> slots,
           Workspace& workspace, StepResult& result, OpTimes& times, double& sampling_s);

  // Of the kept rows and what samplers use. The pages of the kept rows are taken when first used.
  size_t bytes() const;

 private:
  // One row whose logits are needed, and for what: ranges of StepPlan::samples and ::scores.
  struct Item {
    int32_t row = 0;
    int32_t first_sample = 0, n_samples = 0;
    int32_t first_score = 0, n_scores = 0;
    bool is_kept = false;
  };
  struct Step;

  std::vector<Item> items_of(const StepPlan& plan, std::span<const SamplerState> slots) const;
  // The first n_kept of the items are kept.
  void run_pass(const Step& step, std::span<const Item> items, int32_t n_kept);
  void take_tile(const Step& step, std::span<const Item> items, const LinearTile& tile,
                 int32_t thread_idx);
  void finish_kept_row(const Step& step, const Item& item, std::span<float> logits,
                       int32_t thread_idx);
  void finish_best(const Step& step, std::span<const Item> items);

  Device device_;
  const ModelConfig& config_;
  const Weights& weights_;
  int32_t max_kept_;
  int64_t kept_stride_;
  UnwrittenArray<float> kept_;                // max_kept_ rows of logits, kept_stride_ apart
  std::vector<std::vector<BestLogit>> best_;  // by thread, then sample of the plan
  std::vector<SamplerScratch> scratch_;       // by thread
  std::vector<int32_t> rows_;
};

}  // namespace prefold
