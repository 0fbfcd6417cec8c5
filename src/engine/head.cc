#include "engine/head.h"

#include <algorithm>

#include "base/check.h"
#include "base/timer.h"

namespace prefold {
namespace {

// 0 if a is 0.
int32_t div_up(int32_t a, int32_t b) { return (a + b - 1) / b; }

}  // namespace

struct Head::Step {
  const StepPlan& plan;
  ConstRows hidden;
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
      max_kept_(std::min(kMaxKeptRows, max_rows)),
      kept_stride_(padded_stride(config.vocab_size)),
      kept_(make_unwritten_array<float>(static_cast<size_t>(max_kept_ * kept_stride_))),
      best_(device.pool->n_threads()) {
  for (int32_t i = 0; i < device.pool->n_threads(); ++i) scratch_.emplace_back(config.vocab_size);
  rows_.reserve(max_rows);
}

size_t Head::bytes() const {
  size_t n_bytes = static_cast<size_t>(max_kept_ * kept_stride_) * sizeof(float);
  for (const SamplerScratch& scratch : scratch_) {
    n_bytes += scratch.candidates.capacity() * sizeof(Candidate);
  }
  return n_bytes;
}

void Head::run(const StepPlan& plan, ConstRows hidden, std::span<SamplerState> slots,
               Workspace& workspace, StepResult& result, OpTimes& times, double& sampling_s) {
  const Step step{plan, hidden, slots, workspace, result, times, sampling_s};
  result.samples.resize(plan.samples.size());
  result.scores.resize(plan.scores.size());
  std::vector<Item> items = items_of(plan, slots);
  if (items.empty()) return;
  for (std::vector<BestLogit>& best : best_) best.assign(plan.samples.size(), kNoLogit);

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
    Item item{row, sample, 0, score, 0, false};
    for (; sample < n_samples && plan.samples[sample].row == row; ++sample) {
      item.is_kept |= !needs_only_best(slots[plan.samples[sample].slot].params);
    }
    for (; score < n_scores && plan.scores[score].row == row; ++score) item.is_kept = true;
    item.n_samples = sample - item.first_sample;
    item.n_scores = score - item.first_score;
    items.push_back(item);
  }
  return items;
}

void Head::run_pass(const Step& step, std::span<const Item> items, int32_t n_kept) {
  const Rows kept{kept_.get(), n_kept, config_.vocab_size, kept_stride_};
  rows_.clear();
  for (const Item& item : items) rows_.push_back(item.row);
  logits_of_rows(
      device_, config_, weights_, step.hidden, rows_, kept, step.workspace,
      [&](const LinearTile& tile, int32_t thread_idx) { take_tile(step, items, tile, thread_idx); },
      step.times);
  Timer timer;
  device_.pool->parallel_for(n_kept, [&](int64_t i, int32_t thread_idx) {
    finish_kept_row(step, items[i], {kept.row(i), static_cast<size_t>(kept.n_cols)}, thread_idx);
  });
  finish_best(step, items);
  step.sampling_s += timer.lap();
}

void Head::take_tile(const Step& step, std::span<const Item> items, const LinearTile& tile,
                     int32_t thread_idx) {
  for (int32_t r = 0; r < tile.out.n_rows; ++r) {
    const Item& item = items[tile.row + r];
    const std::span<float> logits(tile.out.row(r), tile.out.n_cols);
    for (int32_t k = item.first_sample; k < item.first_sample + item.n_samples; ++k) {
      const SamplerState& state = step.slot_of(k);
      if (!needs_only_best(state.params)) continue;
      find_best_in_tile(device_, logits, tile.col, state, scratch_[thread_idx],
                        best_[thread_idx][k]);
    }
  }
}

void Head::finish_kept_row(const Step& step, const Item& item, std::span<float> logits,
                           int32_t thread_idx) {
  SamplerScratch& scratch = scratch_[thread_idx];
  for (int32_t k = item.first_score; k < item.first_score + item.n_scores; ++k) {
    const ScoreRow& wanted = step.plan.scores[k];
    step.result.scores[k] = score(device_, logits, wanted.target, wanted.n_top, scratch);
  }
  for (int32_t k = item.first_sample; k < item.first_sample + item.n_samples; ++k) {
    SamplerState& state = step.slot_of(k);
    if (needs_only_best(state.params)) continue;
    step.result.samples[k] = sample(device_, logits, state, scratch);
  }
}

void Head::finish_best(const Step& step, std::span<const Item> items) {
  for (const Item& item : items) {
    for (int32_t k = item.first_sample; k < item.first_sample + item.n_samples; ++k) {
      SamplerState& state = step.slot_of(k);
      if (!needs_only_best(state.params)) continue;
      BestLogit best = kNoLogit;
      for (const std::vector<BestLogit>& of_thread : best_) take_better(of_thread[k], best);
      step.result.samples[k] = sample_best(best, config_.vocab_size, state);
    }
  }
}

}  // namespace prefold
