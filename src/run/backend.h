// What stands behind the engine of a run: weights, KV memory, the engine itself. The CPU's and the
// GPU's are set up alike; from there on nothing asks which one it is (docs/architecture.md, I5).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/thread_pool.h"
#include "engine/engine.h"
#include "model/model_file.h"
#include "plan/cost_model.h"
#include "report/metrics.h"
#include "run/calibrate.h"
#include "run/kept_json.h"
#include "run/options.h"
#include "schedule/job.h"

namespace prefold {

class Backend {
 public:
  virtual ~Backend() = default;

  // First. Throws Error if there is no room for them.
  virtual void load_weights() = 0;

  // What steps cost here; none from a backend that does not measure itself.
  virtual std::optional<MeasuredCosts> measure_costs() = 0;

  // The engine for this job, whose token budget and number of blocks are the limits'.
  virtual Engine& start(const Job& job, const ScheduleLimits& limits) = 0;

  // "weights 90 MiB; KV cache ..."
  virtual std::string memory_line() const = 0;

  // Where the time of the steps went; none from a backend that is not told.
  virtual std::optional<OpSeconds> op_seconds() const = 0;

  // None from a backend of the CPU.
  virtual std::optional<GpuMetrics> gpu_metrics() const = 0;
};

// The one of config.backend. All arguments must outlive it. warn: of measurements that could not be
// read from the cache or kept there.
std::unique_ptr<Backend> make_backend(const ModelFile& model, const RunConfig& config,
                                      ThreadPool& pool, const WarnFn& warn);

}  // namespace prefold
