#include "engine/head.h"

#include <algorithm>

#include "base/check.h"
#include "base/timer.h"

namespace prefold {

static_assert(kTileCols == kVocabTile, "a tile of logits is one of the tiles that sums run over");

namespace {

// 0 if a is 0.
int32_t div_up(int32_t a, int32_t b) { return (a + b - 1) / b; }

}  // namespace

struct Head::Step {
  const StepPlan& plan;
  StepHidden hidden;
  std::span<SamplerState> slots;
  Workspace& workspace;
  StepResult& result;
  OpTimes& times;
  double& sampling_s;

  SamplerState& slot_of(int32_t sample_idx) const { return slots[plan.samples[sample_idx].slot]; }
};

Head::Head(const Device& device, const ModelConfig& config, const Weights& weights,
           int32_t max_rows)
    : device_(device),
      config_(config),
      weights_(weights),
      max_rows_(max_rows),
      max_kept_(std::min(kMaxKeptRows, max_rows)),
      n_tiles_(div_up(config.vocab_size, kVocabTile)),
      kept_stride_(padded_stride(config.vocab_size)),
      kept_(make_unwritten_array<float>(static_cast<size_t>(max_kept_ * kept_stride_))),
      tiles_(make_unwritten_array<float>(size_t{2} * max_rows * n_tiles_)),
      best_seen_(device.pool->n_threads()) {
  for (int32_t i = 0; i < device.pool->n_threads(); ++i) scratch_.emplace_back(config.vocab_size);
  rows_.reserve(max_rows);
}

size_t Head::bytes() const {
  const int64_t n_floats = max_kept_ * kept_stride_ + int64_t{2} * max_rows_ * n_tiles_;
  size_t n_bytes = static_cast<size_t>(n_floats) * sizeof(float);
  for (const SamplerScratch& scratch : scratch_) {
    n_bytes += scratch.candidates.capacity() * sizeof(Candidate);
  }
  return n_bytes;
}

void Head::run(const StepPlan& plan, const StepHidden& hidden, std::span<SamplerState> slots,
               Workspace& workspace, StepResult& result, OpTimes& times, double& sampling_s) {
  const Step step{plan, hidden, slots, workspace, result, times, sampling_s};
  result.samples.resize(plan.samples.size());
  result.scores.resize(plan.scores.size());
  std::vector<Item> items = items_of(plan, slots);
  if (items.empty()) return;
  target_logits_.resize(plan.scores.size());

  const auto first_unkept = std::stable_partition(items.begin(), items.end(),
                                                  [](const Item& item) { return item.is_kept; });
  const auto n_kept = static_cast<int32_t>(first_unkept - items.begin());
  const int32_t n_passes = std::max(div_up(n_kept, max_kept_), 1);
  const int32_t kept_a_pass = div_up(n_kept, n_passes);
  for (int32_t pass = 0; pass < n_passes; ++pass) {
    const int32_t begin = pass * kept_a_pass;
    const int32_t kept = std::min(kept_a_pass, n_kept - begin);
    const auto end = pass + 1 < n_passes ? items.begin() + begin + kept : items.end();
    run_pass(step, {items.begin() + begin, end}, kept);
  }
}

// Merges the two lists, each in row order.
std::vector<Head::Item> Head::items_of(const StepPlan& plan,
                                       std::span<const SamplerState> slots) const {
  std::vector<Item> items;
  int32_t sample = 0, score = 0;
  const int32_t n_samples = static_cast<int32_t>(plan.samples.size());
  const int32_t n_scores = static_cast<int32_t>(plan.scores.size());
  while (sample < n_samples || score < n_scores) {
    const int32_t row = std::min(sample < n_samples ? plan.samples[sample].row : INT32_MAX,
                                 score < n_scores ? plan.scores[score].row : INT32_MAX);
    Item item{.row = row, .first_sample = sample, .first_score = score};
    for (; sample < n_samples && plan.samples[sample].row == row; ++sample) {
      const SamplerState& state = slots[plan.samples[sample].slot];
      item.n_top = std::max(item.n_top, state.params.logprobs.value_or(kNoLogprobs));
      item.is_kept |= best_that_decide(state, config_.vocab_size) == 0;
    }
    for (; score < n_scores && plan.scores[score].row == row; ++score) {
      item.n_top = std::max(item.n_top, plan.scores[score].n_top);
    }
    item.n_samples = sample - item.first_sample;
    item.n_scores = score - item.first_score;
    items.push_back(item);
  }
  return items;
}

void Head::run_pass(const Step& step, std::span<const Item> items, int32_t n_kept) {
  const Rows kept{kept_.get(), n_kept, config_.vocab_size, kept_stride_};
  rows_.clear();
  for (const Item& item : items) rows_.push_back(step.hidden.place[item.row]);
  start_lists(step, items);
  logits_of_rows(
      device_, config_, weights_, step.hidden.rows, rows_, kept, step.workspace,
      [&](const LinearTile& tile, int32_t thread_idx) { take_tile(step, items, tile, thread_idx); },
      step.times);
  Timer timer;
  device_.pool->parallel_for(std::ssize(items), [&](int64_t i, int32_t thread_idx) {
    finish_item(step, items, static_cast<int32_t>(i), thread_idx);
  });
  step.sampling_s += timer.lap();
}

void Head::start_lists(const Step& step, std::span<const Item> items) {
  for (BestSeen& seen : best_seen_) {
    if (seen.of_items.size() < items.size()) seen.of_items.resize(items.size());
    const size_t n_samples = step.plan.samples.size();
    if (seen.of_samples.size() < n_samples) seen.of_samples.resize(n_samples);
    for (size_t i = 0; i < items.size(); ++i) {
      const Item& item = items[i];
      start_list(std::max(item.n_top, 0), seen.of_items[i]);
      for (int32_t k = item.first_sample; k < item.first_sample + item.n_samples; ++k) {
        start_list(best_that_decide(step.slot_of(k), config_.vocab_size), seen.of_samples[k]);
      }
    }
  }
}

void Head::take_tile(const Step& step, std::span<const Item> items, const LinearTile& tile,
                     int32_t thread_idx) {
  const VocabKernels& kernels = *device_.kernels->vocab;
  BestSeen& seen = best_seen_[thread_idx];
  SamplerScratch& scratch = scratch_[thread_idx];
  for (int32_t r = 0; r < tile.out.n_rows; ++r) {
    const int32_t i = tile.row + r;
    const Item& item = items[i];
    const std::span<float> logits(tile.out.row(r), tile.out.n_cols);
    if (item.n_top != kNoLogprobs) {
      const TileWeight weight = kernels.weigh_tile(logits.data(), tile.out.n_cols);
      tiles_of(i).highest[tile.col / kVocabTile] = weight.highest;
      tiles_of(i).sums[tile.col / kVocabTile] = weight.sum;
    }
    if (item.n_top > 0) show_logits(kernels, logits, tile.col, scratch, seen.of_items[i]);
    for (int32_t k = item.first_score; k < item.first_score + item.n_scores; ++k) {
      const int32_t at = step.plan.scores[k].target - tile.col;
      if (at >= 0 && at < tile.out.n_cols) target_logits_[k] = logits[at];
    }
    for (int32_t k = item.first_sample; k < item.first_sample + item.n_samples; ++k) {
      TopList& list = seen.of_samples[k];
      if (list.k == 0) continue;
      show_changed_logits(device_, logits, tile.col, step.slot_of(k), scratch, list);
    }
  }
}

void Head::finish_item(const Step& step, std::span<const Item> items, int32_t item_idx,
                       int32_t thread_idx) {
  // The lists of all threads as one.
  const auto best_of = [&](std::vector<TopList> BestSeen::*lists, int32_t i) -> TopList& {
    TopList& best = (best_seen_[0].*lists)[i];
    for (size_t t = 1; t < best_seen_.size(); ++t) merge_list((best_seen_[t].*lists)[i], best);
    finish_list(best);
    return best;
  };
  const Item& item = items[item_idx];
  SamplerScratch& scratch = scratch_[thread_idx];
  LogSum log_sum;
  if (item.n_top != kNoLogprobs) {
    log_sum = log_sum_of(*device_.kernels->vocab, tiles_of(item_idx));
  }
  const std::span<const TokenLogit> top = best_of(&BestSeen::of_items, item_idx).tokens;
  for (int32_t k = item.first_score; k < item.first_score + item.n_scores; ++k) {
    const ScoreRow& wanted = step.plan.scores[k];
    step.result.scores[k] =
        with_logprobs(log_sum, {target_logits_[k], wanted.target}, top, wanted.n_top);
  }
  for (int32_t k = item.first_sample; k < item.first_sample + item.n_samples; ++k) {
    SamplerState& state = step.slot_of(k);
    const TopList& best = best_of(&BestSeen::of_samples, k);
    const TokenLogit token =
        best.k > 0 ? sample_from_best(device_, best.tokens, config_.vocab_size, state, scratch)
                   : sample_from_row(device_, kept_row(item_idx), state, scratch);
    step.result.samples[k] = state.params.logprobs
                                 ? with_logprobs(log_sum, token, top, *state.params.logprobs)
                                 : SampledToken{token.id, 0.0f, {}};
  }
}

RowTiles Head::tiles_of(int32_t item_idx) const {
  float* const highest = tiles_.get() + int64_t{2} * item_idx * n_tiles_;
  const auto n_tiles = static_cast<size_t>(n_tiles_);
  return {{highest, n_tiles}, {highest + n_tiles_, n_tiles}};
}

std::span<float> Head::kept_row(int32_t item_idx) const {
  return {kept_.get() + item_idx * kept_stride_, static_cast<size_t>(config_.vocab_size)};
}

}  // namespace prefold
