// Times what a step is made of, on the device that will run it.
#pragma once

#include <cstdint>

#include "model/config.h"
#include "model/weights.h"
#include "ops/attention.h"
#include "ops/device.h"
#include "plan/cost_model.h"

namespace prefold {

struct MeasuredCosts {
  CostModel model;
  // What this process had meanwhile of the processors that its threads ask for. With much less than
  // 1 others had them, and the costs are good enough for one run, not to be kept.
  double processor_share = 1.0;

  bool is_worth_keeping() const { return processor_share >= 0.7; }
};

// The costs of this machine with this model: the attention op over shared segments of different
// sizes, and the first layer and the LM head at rising numbers of rows. Each is the least of
// several times and smoothed, so that what else the machine does hardly counts; under a second on a
// machine that is free, four at most. Where a model is too large for that, or a step's activations
// would take more than max_workspace_bytes, the curves end early.
MeasuredCosts measure_costs(const Device& device, const ModelConfig& model, const Weights& weights,
                            KvType kv_type, int64_t max_workspace_bytes);

}  // namespace prefold
