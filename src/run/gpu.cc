#include "run/gpu.h"

#include "base/error.h"

#ifndef PREFOLD_CUDA

namespace prefold {
namespace {

constexpr const char* kNotBuilt =
    "this build has no CUDA engine (cmake -DPREFOLD_CUDA=ON makes one)";

}  // namespace

std::optional<GpuInfo> find_gpu(std::string& why_not) {
  why_not = kNotBuilt;
  return std::nullopt;
}
GpuMemory gpu_memory(const ModelFile&, const GpuInfo&, const GpuNeeds&) { throw Error(kNotBuilt); }
int64_t gpu_kv_bytes_per_block(KvType, const ModelConfig&) { throw Error(kNotBuilt); }
std::unique_ptr<Backend> make_gpu_backend(const ModelFile&, const RunConfig&, ThreadPool&,
                                          const WarnFn&) {
  throw Error(kNotBuilt);
}

}  // namespace prefold

#else

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "cuda/cuda_engine.h"
#include "report/human_numbers.h"
#include "run/cublas_store.h"
#include "run/job_plan.h"

namespace prefold {
namespace {

cuda::FloatType float_type(KvType type) {
  switch (type) {
    case KvType::kF16:
      return cuda::FloatType::kF16;
    case KvType::kBF16:
      return cuda::FloatType::kBf16;
    default:
      CHECK(type == KvType::kF32);  // resolve lets no other type through
      return cuda::FloatType::kF32;
  }
}

class GpuBackend : public Backend {
 public:
  GpuBackend(const ModelFile& model, const RunConfig& config, ThreadPool& pool, const WarnFn& warn)
      : model_(model),
        config_(config),
        pool_(pool),
        warn_(warn),
        type_(float_type(config.kv_type)),
        gpu_(*config.gpu) {}

  void load_weights() override {
    weight_arena_.emplace(cuda::plan_weights(model_, type_).n_bytes);
    weights_ = cuda::upload_weights(model_, type_, pool_, *weight_arena_);
  }

  std::optional<MeasuredCosts> measure_costs() override { return std::nullopt; }

  Engine& start(const Job& job, const ScheduleLimits& limits) override {
    cuda::CudaEngineOptions options;
    options.type = type_;
    options.deterministic = config_.options.deterministic;
    options.graphs = config_.options.cuda_graphs;
    options.token_budget = limits.token_budget;
    options.n_positions = config_.max_model_len;
    options.allowed_len = config_.allowed_len;
    options.n_kv_blocks = limits.n_blocks;
    for (int32_t i = 0; i < std::ssize(job.sequences); ++i) {
      const ParameterSet& set = job.parameters_of(i);
      const TokenSpan prompt = (*job.prompts)[job.sequences[i].prompt];
      options.demands.push_back({&set.params, static_cast<int32_t>(set.stop_ids.size()),
                                 static_cast<int32_t>(prompt.size()), job.spec_of(i).max_tokens});
    }
    options.max_slots = std::min<int64_t>(limits.n_slots, std::ssize(job.sequences));
    options.max_items = most_items_of_step(job, limits.token_budget);
    for (const int8_t top : job.score_top) {
      options.max_scores_top = std::max<int32_t>(options.max_scores_top, top);
    }
    options.embeds = !job.embeds.empty();
    nlohmann::ordered_json cublas_key;
    if (cuda::uses_cublas(options)) {
      cublas_key = prefold::cublas_key(gpu_, type_, cuda::most_measured_rows(options),
                                       cuda::most_measured_output_rows(options), weights_);
      cublas_ = find_cublas_choice(cublas_key, cache_folder(), warn_);
      if (cublas_) options.cublas_choice = cublas_->choice;
    }
    bytes_ = cuda::engine_bytes(options, model_.config, weights_, gpu_);
    n_blocks_ = limits.n_blocks;
    engine_.emplace(options, model_.config, weights_, gpu_);
    if (cuda::uses_cublas(options) && !cublas_) {
      cublas_ = store_cublas_choice(engine_->cublas_choice(), cublas_key, cache_folder(), warn_);
    }
    return *engine_;
  }

  std::string memory_line() const override {
    return fmt::format(
        "of {} ({}): weights {}; KV cache {} = {} blocks x {} tokens; activations and tables {}; "
        "page-locked {}",
        human_bytes(gpu_.memory_bytes), gpu_.name,
        human_bytes(static_cast<int64_t>(weight_arena_->capacity())),
        human_bytes(static_cast<int64_t>(bytes_.kv)), n_blocks_, kKvBlockTokens,
        human_bytes(static_cast<int64_t>(bytes_.work)),
        human_bytes(static_cast<int64_t>(bytes_.pinned)));
  }

  // The host does not see when a kernel runs.
  std::optional<OpSeconds> op_seconds() const override { return std::nullopt; }

  std::optional<GpuMetrics> gpu_metrics() const override {
    const cuda::GraphCounts counts = engine_->graph_counts();
    GpuMetrics metrics{counts.n_graphs, counts.n_replays, counts.n_bytes, nullptr};
    if (cublas_) metrics.cublas_rows = to_json(*cublas_);
    return metrics;
  }

 private:
  const ModelFile& model_;
  const RunConfig& config_;
  ThreadPool& pool_;
  const WarnFn& warn_;
  cuda::FloatType type_;
  const GpuInfo& gpu_;
  std::optional<cuda::DeviceArena> weight_arena_;
  cuda::CudaWeights weights_;
  cuda::CudaEngineBytes bytes_;
  int32_t n_blocks_ = 0;
  std::optional<KeptCublasChoice> cublas_;  // none if all products are ours
  std::optional<cuda::CudaEngine> engine_;
};

}  // namespace

std::optional<GpuInfo> find_gpu(std::string& why_not) { return cuda::find_cuda_device(why_not); }

GpuMemory gpu_memory(const ModelFile& model, const GpuInfo& gpu, const GpuNeeds& needs) {
  cuda::check_model(model.config);
  const cuda::FloatType type = float_type(needs.kv_type);
  const cuda::WeightPlan weights = cuda::plan_weights(model, type);
  cuda::CudaEngineOptions options;
  options.type = type;
  options.deterministic = needs.deterministic;
  options.token_budget = needs.token_budget;
  options.n_positions = needs.n_positions;
  options.max_slots = kSlotsPerRow * needs.token_budget;
  options.max_items = 2 * needs.token_budget;
  const cuda::CudaEngineBytes bytes =
      cuda::engine_bytes(options, model.config, weights.shapes, gpu);
  return {static_cast<int64_t>(weights.n_bytes), static_cast<int64_t>(bytes.work)};
}

int64_t gpu_kv_bytes_per_block(KvType type, const ModelConfig& model) {
  return static_cast<int64_t>(cuda::kv_bytes_per_block(float_type(type), model));
}

std::unique_ptr<Backend> make_gpu_backend(const ModelFile& model, const RunConfig& config,
                                          ThreadPool& pool, const WarnFn& warn) {
  return std::make_unique<GpuBackend>(model, config, pool, warn);
}

}  // namespace prefold

#endif
