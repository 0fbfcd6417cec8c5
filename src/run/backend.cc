#include <fmt/format.h>

#include "base/error.h"
#include "engine/cpu_engine.h"
#include "model/rope.h"
#include "report/human_numbers.h"
#include "run/backend.h"
#include "run/calibrate.h"
#include "run/gpu.h"
#include "run/host_info.h"

namespace prefold {
namespace {

// Activations may take at most this part of the memory available while costs are measured.
constexpr int64_t kWorkspaceShare = 16;

class CpuBackend : public Backend {
 public:
  CpuBackend(const ModelFile& model, const RunConfig& config, ThreadPool& pool)
      : model_(model),
        config_(config),
        pool_(pool),
        device_{&pool, &find_cpu_kernels(config.cpu_isa), config.precision,
                config.options.moe_grouping} {}

  void load_weights() override { weights_ = prefold::load_weights(model_, pool_); }

  std::optional<MeasuredCosts> measure_costs() override {
    return prefold::measure_costs(device_, model_.config, weights_, config_.kv_type,
                                  available_memory_bytes() / kWorkspaceShare);
  }

  Engine& start(const Job&, const ScheduleLimits& limits) override {
    const ModelConfig& model = model_.config;
    rope_tables_ = make_rope_tables(model, config_.max_model_len, config_.allowed_len);
    kv_.emplace(KvShape{config_.kv_type, model.n_layers, model.n_kv_heads, model.head_dim},
                limits.n_blocks);
    engine_.emplace(device_, model, weights_, rope_tables_, *kv_, limits.token_budget);
    return *engine_;
  }

  std::string memory_line() const override {
    return fmt::format("weights {}; KV cache {} = {} blocks x {} tokens; activations {}",
                       human_bytes(static_cast<int64_t>(weights_.bytes())),
                       human_bytes(kv_->n_blocks() * config_.kv_bytes_per_block), kv_->n_blocks(),
                       kKvBlockTokens,
                       human_bytes(static_cast<int64_t>(engine_->workspace_bytes())));
  }

  std::optional<OpSeconds> op_seconds() const override {
    const EngineTimes& times = engine_->times();
    return OpSeconds{times.ops.linear,      times.ops.attention, times.ops.kv_append + times.copies,
                     times.ops.elementwise, times.ops.lm_head,   times.sampling};
  }

  std::optional<GpuMetrics> gpu_metrics() const override { return std::nullopt; }

 private:
  const ModelFile& model_;
  const RunConfig& config_;
  ThreadPool& pool_;
  Device device_;
  Weights weights_;
  std::vector<RopeTable> rope_tables_;
  std::optional<KvStorage> kv_;
  std::optional<CpuEngine> engine_;
};

}  // namespace

std::unique_ptr<Backend> make_backend(const ModelFile& model, const RunConfig& config,
                                      ThreadPool& pool, const WarnFn& warn) {
  if (config.backend == BackendKind::kCuda) return make_gpu_backend(model, config, pool, warn);
  return std::make_unique<CpuBackend>(model, config, pool);
}

}  // namespace prefold
