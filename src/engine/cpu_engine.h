// The CPU backend: runs a step when it is submitted.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/embeddings.h"
#include "engine/engine.h"
#include "engine/head.h"
#include "engine/kv_storage.h"
#include "engine/sampler.h"
#include "model/transformer.h"

namespace prefold {

struct EngineTimes {
  OpTimes ops;
  double sampling = 0;  // seconds; of whole rows: what is decided in the tiles is in ops.lm_head
  double copies = 0;
};

class CpuEngine : public Engine {
 public:
  // rope_tables: one for each of the model's. All arguments but the last must outlive the engine.
  CpuEngine(const Device& device, const ModelConfig& config, const Weights& weights,
            std::span<const RopeTable> rope_tables, KvStorage& kv, int32_t token_budget);

  int32_t max_steps_in_flight() const override { return 1; }
  void submit(const StepPlan& plan) override;
  StepResult wait() override;

  const EngineTimes& times() const { return times_; }
  size_t workspace_bytes() const { return workspace_.bytes() + head_.bytes(); }

 private:
  void start_slots(const StepPlan& plan);
  void copy_blocks(const StepPlan& plan);
  void resolve_token_ids(const StepPlan& plan);

  Device device_;
  const ModelConfig& config_;
  const Weights& weights_;
  std::span<const RopeTable> rope_tables_;
  std::vector<KvLayer> kv_layers_;
  Workspace workspace_;
  Embeddings embeddings_;
  Head head_;
  std::vector<SamplerState> slots_;
  std::vector<int32_t> token_ids_;
  WantedRows wanted_;
  std::vector<int32_t> all_rows_;  // 0, 1, ...
  StepResult result_;
  bool has_result_ = false;
  EngineTimes times_;
};

}  // namespace prefold
