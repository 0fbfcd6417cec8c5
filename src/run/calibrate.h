// Times what a step is made of, on the device that will run it.
#pragma once

#include <cstdint>

#include "model/config.h"
#include "model/weights.h"
#include "ops/attention.h"
#include "ops/device.h"
#include "plan/cost_model.h"

namespace prefold {

// The costs of this machine with this model: the attention op over shared segments of different
// sizes, and the first layer and the LM head at rising numbers of rows. Processor time, each the
// least of several times and smoothed, so that what else the machine does hardly counts; under a
// second on a machine that is free. Where a model is too large for that, or a step's activations
// would take more than max_workspace_bytes, the curves end early.
CostModel measure_costs(const Device& device, const ModelConfig& model, const Weights& weights,
                        KvType kv_type, int64_t max_workspace_bytes);

}  // namespace prefold
