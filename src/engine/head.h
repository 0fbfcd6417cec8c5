// The end of a step: LM head, samples and scores, fused tile by tile.
//
// The logits of all rows that need them come as tiles of rows x ids, each while it is in the cache
// of the core that computed it (linear_tiles). In the tile:
//
//   - masks, bias and penalties of a greedy sample or a draw with top_k are applied, and its best
//     tokens so far are kept;
//   - of a row whose log-probabilities are asked for, sums of weights, the best tokens and the
//     target's logit are kept (logprobs.h);
//   - a draw without top_k may take any token, and which one is known only when the whole row has
//     been weighed, so its row is written to the kept rows and drawn from afterwards. So are draws
//     with a large top_k and log-probabilities of samples that change logits.
//
// A job that does not need the last has no row of logits in memory. At most kMaxKeptRows are kept
// at a time: a step with more of them runs the head in several passes over parts of its rows.
//
// Tiles are the same ids always, and the best tokens are those of one total order, found tile by
// tile and then thread by thread; so neither the rows of a step nor the threads change an answer
// (invariant I6).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/aligned_vector.h"
#include "engine/logprobs.h"
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

  // Samples and scores what `plan` asks for after the rows of `hidden` into `result`, and updates
  // the slots that sample. Adds to times.lm_head and to sampling_s what was spent in the tiles and
  // on whole rows.
  void run(const StepPlan& plan, const StepHidden& hidden, std::span<SamplerState> slots,
           Workspace& workspace, StepResult& result, OpTimes& times, double& sampling_s);

  // Of the kept rows, their tiles and what samplers use. The pages are taken when first used.
  size_t bytes() const;

 private:
  static constexpr int32_t kNoLogprobs = -1;
  // One row whose logits are needed, and for what: ranges of StepPlan::samples and ::scores.
  struct Item {
    int32_t row = 0;
    int32_t first_sample = 0, n_samples = 0;
    int32_t first_score = 0, n_scores = 0;
    int32_t n_top = kNoLogprobs;  // best tokens whose log-probabilities are asked for
    bool is_kept = false;
  };
  // The best tokens that a thread has seen.
  struct BestSeen {
    std::vector<TopList> of_items;    // raw logits; in order of the pass
    std::vector<TopList> of_samples;  // changed logits; in order of the plan
  };
  struct Step;

  std::vector<Item> items_of(const StepPlan& plan, std::span<const SamplerState> slots) const;
  // The first n_kept of the items are kept.
  void run_pass(const Step& step, std::span<const Item> items, int32_t n_kept);
  void start_lists(const Step& step, std::span<const Item> items);
  void take_tile(const Step& step, std::span<const Item> items, const LinearTile& tile,
                 int32_t thread_idx);
  void finish_item(const Step& step, std::span<const Item> items, int32_t item_idx,
                   int32_t thread_idx);
  RowTiles tiles_of(int32_t item_idx) const;
  std::span<float> kept_row(int32_t item_idx) const;

  Device device_;
  const ModelConfig& config_;
  const Weights& weights_;
  int32_t max_rows_;
  int32_t max_kept_;
  int32_t n_tiles_;
  int64_t kept_stride_;
  UnwrittenArray<float> kept_;        // max_kept_ rows of logits, kept_stride_ apart
  UnwrittenArray<float> tiles_;       // max_rows_ items, for each n_tiles_ highest, n_tiles_ sums
  std::vector<float> target_logits_;  // of the scores of the plan
  std::vector<BestSeen> best_seen_;   // by thread
  std::vector<SamplerScratch> scratch_;  // by thread
  std::vector<int32_t> rows_;
};

}  // namespace prefold
