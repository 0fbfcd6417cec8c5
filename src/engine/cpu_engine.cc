#include "engine/cpu_engine.h"

#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/timer.h"

namespace prefold {

CpuEngine::CpuEngine(const Device& device, const ModelConfig& config, const Weights& weights,
                     std::span<const RopeTable> rope_tables, KvStorage& kv, int32_t token_budget)
    : device_(device),
      config_(config),
      weights_(weights),
      rope_tables_(rope_tables),
      workspace_(allocate_workspace(device, config, weights, token_budget)),
      embeddings_(device, config, weights),
      head_(device, config, weights, token_budget) {
  for (int32_t i = 0; i < config.n_layers; ++i) kv_layers_.push_back(kv.layer(i));
  token_ids_.reserve(token_budget);
  all_rows_.resize(token_budget);
  std::iota(all_rows_.begin(), all_rows_.end(), 0);
}

void CpuEngine::submit(const StepPlan& plan) {
  CHECK(!has_result_);
  result_ = {plan.step_idx, {}, {}, {}};
  has_result_ = true;
  if (plan.n_rows() == 0) return;
  start_slots(plan);
  resolve_token_ids(plan);
  copy_blocks(plan);
  find_wanted_rows(plan, wanted_);
  const ConstRows hidden = forward(device_, config_, weights_, rope_tables_,
                                   {token_ids_, plan.positions, plan.spans, plan.block_ids,
                                    plan.segments, plan.adapters, wanted_.rows},
                                   kv_layers_, workspace_, times_.ops);
  const bool has_all = hidden.n_rows == plan.n_rows();
  const StepHidden rows{hidden, has_all ? all_rows_ : wanted_.place};
  embeddings_.run(plan, rows, workspace_, result_, times_.ops);
  head_.run(plan, rows, slots_, workspace_, result_, times_.ops, times_.sampling);
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

}  // namespace prefold
