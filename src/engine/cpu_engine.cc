#include "engine/cpu_engine.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/timer.h"

namespace prefold {
namespace {

// One row whose logits are needed, and for what: ranges of StepPlan::samples and ::scores.
struct LogitRow {
  int32_t row = 0;
  int32_t first_sample = 0, n_samples = 0;
  int32_t first_score = 0, n_scores = 0;
};

// Merges the two lists, each in row order.
std::vector<LogitRow> logit_rows(const StepPlan& plan) {
  std::vector<LogitRow> rows;
  int32_t sample = 0, score = 0;
  const int32_t n_samples = static_cast<int32_t>(plan.samples.size());
  const int32_t n_scores = static_cast<int32_t>(plan.scores.size());
  while (sample < n_samples || score < n_scores) {
    const int32_t row = std::min(sample < n_samples ? plan.samples[sample].row : INT32_MAX,
                                 score < n_scores ? plan.scores[score].row : INT32_MAX);
    LogitRow item{row, sample, 0, score, 0};
    while (sample < n_samples && plan.samples[sample].row == row) ++sample;
    while (score < n_scores && plan.scores[score].row == row) ++score;
    item.n_samples = sample - item.first_sample;
    item.n_scores = score - item.first_score;
    rows.push_back(item);
  }
  return rows;
}

}  // namespace

CpuEngine::CpuEngine(const Device& device, const ModelConfig& config, const Weights& weights,
                     const RopeTable& rope_table, KvStorage& kv, int32_t token_budget)
    : device_(device),
      config_(config),
      weights_(weights),
      rope_table_(rope_table),
      workspace_(allocate_workspace(device, config, token_budget)),
      row_copies_(device.pool->n_threads(), std::vector<float>(config.vocab_size)) {
  for (int32_t i = 0; i < config.n_layers; ++i) kv_layers_.push_back(kv.layer(i));
  for (int32_t i = 0; i < device.pool->n_threads(); ++i) {
    sampler_scratch_.emplace_back(config.vocab_size);
  }
  token_ids_.reserve(token_budget);
}

void CpuEngine::submit(const StepPlan& plan) {
  CHECK(!has_result_);
  result_ = {plan.step_idx, {}, {}};
  has_result_ = true;
  if (plan.n_rows() == 0) return;
  start_slots(plan);
  resolve_token_ids(plan);
  copy_blocks(plan);
  const ConstRows hidden =
      forward(device_, config_, weights_, rope_table_,
              {token_ids_, plan.positions, plan.spans, plan.block_ids, plan.segments}, kv_layers_,
              workspace_, times_.ops);
  sample_and_score(plan, hidden);
}

StepResult CpuEngine::wait() {
  CHECK(has_result_);
  has_result_ = false;
  return std::move(result_);
}

void CpuEngine::start_slots(const StepPlan& plan) {
  for (const SlotStart& start : plan.slot_starts) {
    if (start.slot >= static_cast<int32_t>(slots_.size())) slots_.resize(start.slot + 1);
    slots_[start.slot] = start_sampler(start);
  }
}

void CpuEngine::resolve_token_ids(const StepPlan& plan) {
  token_ids_.assign(plan.token_ids.begin(), plan.token_ids.end());
  for (int32_t row = 0; row < plan.n_rows(); ++row) {
    if (token_ids_[row] == StepPlan::kFromSlot) {
      token_ids_[row] = slots_[plan.input_slots[row]].last_token;
    }
  }
}

void CpuEngine::copy_blocks(const StepPlan& plan) {
  if (plan.copies.empty()) return;
  Timer timer;
  kv_copy(device_, plan.copies, kv_layers_);
  times_.copies += timer.lap();
}

void CpuEngine::sample_and_score(const StepPlan& plan, ConstRows hidden) {
  const std::vector<LogitRow> items = logit_rows(plan);
  result_.samples.resize(plan.samples.size());
  result_.scores.resize(plan.scores.size());
  std::vector<int32_t> rows;
  for (size_t first = 0; first < items.size(); first += rows.size()) {
    const size_t n = std::min<size_t>(items.size() - first, workspace_.logit_tile_rows);
    rows.clear();
    for (size_t i = 0; i < n; ++i) rows.push_back(items[first + i].row);
    const Rows logits =
        logits_of_rows(device_, config_, weights_, hidden, rows, workspace_, times_.ops);
    Timer timer;
    device_.pool->parallel_for(static_cast<int64_t>(n), [&](int64_t i, int32_t thread_idx) {
      const LogitRow& item = items[first + i];
      const std::span<float> row(logits.row(i), config_.vocab_size);
      for (int32_t k = item.first_score; k < item.first_score + item.n_scores; ++k) {
        result_.scores[k] = score(device_, row, plan.scores[k].target, plan.scores[k].n_top,
                                  sampler_scratch_[thread_idx]);
      }
      for (int32_t k = item.first_sample; k < item.first_sample + item.n_samples; ++k) {
        // A sampler overwrites the logits: all but the last one get a copy.
        std::span<float> own = row;
        if (k + 1 < item.first_sample + item.n_samples) {
          own = row_copies_[thread_idx];
          std::copy(row.begin(), row.end(), own.begin());
        }
        result_.samples[k] =
            sample(device_, own, slots_[plan.samples[k].slot], sampler_scratch_[thread_idx]);
      }
    });
    times_.sampling += timer.lap();
  }
}

}  // namespace prefold
