#include "run/options.h"

#include <algorithm>

#include "base/check.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "engine/kv_storage.h"
#include "kernels/cpu/kernels.h"
#include "plan/cost_model.h"
#include "report/human_numbers.h"
#include "run/gpu.h"
#include "run/host_info.h"
#include "run/model_digest.h"
#include "schedule/job.h"

namespace prefold {
namespace {

// Of the memory available, and of what weights and steps leave of a GPU's.
constexpr double kDefaultMemoryShare = 0.6;
constexpr double kGpuPoolShare = 0.9;

// Steps are made smaller until activations and tables take this part of a GPU's memory at most.
constexpr int64_t kGpuWorkShare = 8;
constexpr int32_t kLeastGpuTokenBudget = 256;

const char* sharing_name(Sharing sharing) {
  switch (sharing) {
    case Sharing::kNone:
      return "none";
    case Sharing::kLru:
      return "lru";
    case Sharing::kTree:
      return "tree";
  }
  return "";
}

const char* batching_name(Batching batching) {
  switch (batching) {
    case Batching::kPacked:
      return "packed";
    case Batching::kSorted:
      return "sorted";
    case Batching::kPadded:
      return "padded";
  }
  return "";
}
}  // namespace

const char* kv_type_name(KvType type) {
  switch (type) {
    case KvType::kF32:
      return "f32";
    case KvType::kF16:
      return "f16";
    case KvType::kBF16:
      return "bf16";
    case KvType::kInt8:
      return "int8";
  }
  return "";
}

const char* precision_name(Precision precision) {
  return precision == Precision::kFast ? "fast" : "exact";
}

bool is_deterministic(const RunConfig& config) {
  return config.backend == BackendKind::kCpu || config.options.deterministic ||
         config.precision == Precision::kExact;
}

namespace {

nlohmann::ordered_json lora_json(const RunConfig& config) {
  nlohmann::ordered_json adapters = nlohmann::ordered_json::array();
  for (size_t i = 0; i < config.options.lora.size(); ++i) {
    const LoraOption& option = config.options.lora[i];
    adapters.push_back(
        {{"name", option.name}, {"path", option.path}, {"digest", config.lora_digests[i]}});
  }
  return adapters;
}

bool uses_graphs(const RunConfig& config) {
  return config.backend == BackendKind::kCuda && config.options.cuda_graphs;
}

}  // namespace

nlohmann::ordered_json to_json(const RunConfig& config) {
  const RunOptions& options = config.options;
  const SamplingParams& defaults = config.defaults;
  nlohmann::ordered_json json = {{"model", options.model},
                                 {"lora", lora_json(config)},
                                 {"input", options.inputs},
                                 {"output", options.output},
                                 {"max_num_batched_tokens", config.token_budget},
                                 {"cost_model", nullptr},
                                 {"max_model_len", config.max_model_len},
                                 {"kv_memory", config.n_kv_blocks * config.kv_bytes_per_block},
                                 {"kv_type", kv_type_name(config.kv_type)},
                                 {"precision", precision_name(config.precision)},
                                 {"device", config.backend == BackendKind::kCuda ? "cuda" : "cpu"},
                                 {"deterministic", is_deterministic(config)},
                                 {"cpu_isa", config.cpu_isa},
                                 {"threads", config.threads},
                                 {"sharing", sharing_name(options.sharing)},
                                 {"attention", options.shared_attention ? "shared" : "flat"},
                                 {"batching", batching_name(options.batching)},
                                 {"order", options.order == Order::kRatio ? "ratio" : "file"},
                                 {"chunked_prefill", options.chunked_prefill},
                                 {"length_prediction", options.length_prediction},
                                 {"length_prior", nullptr},
                                 {"cuda_graphs", uses_graphs(config)},
                                 {"moe_grouping", options.moe_grouping == MoeGrouping::kGrouped},
                                 {"pooling", options.pooling == Pooling::kLast ? "last" : "mean"},
                                 {"seed", options.seed},
                                 {"ordered", options.ordered},
                                 {"usage_details", options.usage_details},
                                 {"resume", options.resume},
                                 {"max_requests", nullptr},
                                 {"time_limit_s", nullptr},
                                 {"grace_s", options.grace_s},
                                 {"max_tokens", nullptr},
                                 {"temperature", defaults.temperature},
                                 {"top_p", defaults.top_p},
                                 {"top_k", defaults.top_k},
                                 {"min_p", defaults.min_p},
                                 {"repetition_penalty", defaults.repetition_penalty}};
  if (!options.cost_model.empty()) json["cost_model"] = options.cost_model;
  if (defaults.max_tokens) json["max_tokens"] = *defaults.max_tokens;
  if (options.max_requests) json["max_requests"] = *options.max_requests;
  if (options.time_limit_s) json["time_limit_s"] = *options.time_limit_s;
  if (!options.length_prior.empty()) json["length_prior"] = options.length_prior;
  return json;
}

namespace {

void resolve_backend(DeviceChoice choice, RunConfig& config) {
  if (choice == DeviceChoice::kCpu) return;
  config.gpu = find_gpu(config.why_no_gpu);
  if (config.gpu) {
    config.backend = BackendKind::kCuda;
  } else if (choice == DeviceChoice::kCuda) {
    throw Error(fmt::format("--device cuda: {}", config.why_no_gpu));
  }
}

// A GPU has no instruction set to choose, and stores keys and values as it computes: in 16 bits, or
// all in f32.
void check_gpu_options(const RunConfig& config) {
  if (config.options.cpu_isa != "auto") {
    throw Error(
        fmt::format("--cpu-isa is {}, of the kernels that compute with --device cpu; this "
                    "run would be on {}",
                    config.options.cpu_isa, config.gpu->name));
  }
  if (config.options.moe_grouping == MoeGrouping::kOff) {
    throw Error(fmt::format("--moe-grouping off is for --device cpu; this run would be on {}",
                            config.gpu->name));
  }
  const bool is_exact = config.precision == Precision::kExact;
  const char* possible = is_exact ? "f32" : "f16 or bf16";
  const bool is_possible = is_exact
                               ? config.kv_type == KvType::kF32
                               : config.kv_type == KvType::kF16 || config.kv_type == KvType::kBF16;
  if (!is_possible) {
    throw Error(
        fmt::format("--kv-type is {}; with --precision {} on a GPU it can be {} "
                    "(--device cpu has others)",
                    kv_type_name(config.kv_type), precision_name(config.precision), possible));
  }
  if (config.kv_type == KvType::kBF16 && config.gpu->cc_major < 8) {
    throw Error(fmt::format("--kv-type bf16 needs compute capability 8.0; {} has {}.{}",
                            config.gpu->name, config.gpu->cc_major, config.gpu->cc_minor));
  }
}

int64_t cpu_pool_bytes(const RunOptions& options) {
  return options.kv_memory_bytes.value_or(
      static_cast<int64_t>(kDefaultMemoryShare * static_cast<double>(available_memory_bytes())));
}

// Settles the rows of a step, and with them the memory of all but the KV cache; returns what the
// latter has.
int64_t settle_gpu_memory(const ModelFile& model, RunConfig& config) {
  const RunOptions& options = config.options;
  GpuNeeds needs;
  needs.kv_type = config.kv_type;
  needs.deterministic = options.deterministic;
  needs.n_positions = options.max_model_len.value_or(model.config.context_length);
  needs.token_budget = options.max_num_batched_tokens.value_or(kGpuTokenBudget);
  const int64_t free_bytes = config.gpu->free_bytes;
  for (;; needs.token_budget /= 2) {
    config.gpu_memory = gpu_memory(model, *config.gpu, needs);
    const int64_t share = (free_bytes - config.gpu_memory.weights) / kGpuWorkShare;
    if (options.max_num_batched_tokens || needs.token_budget <= kLeastGpuTokenBudget ||
        config.gpu_memory.work <= share) {
      break;
    }
  }
  config.token_budget = needs.token_budget;
  const int64_t n_left = free_bytes - config.gpu_memory.weights - config.gpu_memory.work;
  const int64_t pool_bytes = options.kv_memory_bytes.value_or(
      static_cast<int64_t>(kGpuPoolShare * static_cast<double>(std::max<int64_t>(n_left, 0))));
  if (n_left <= 0 || pool_bytes > n_left) {
    throw Error(fmt::format(
        "{} has {} of free memory; the weights take {}, activations and tables for steps of {} "
        "tokens {}, the KV cache {}: lower --max-num-batched-tokens, --max-model-len or "
        "--kv-memory, or use --device cpu",
        config.gpu->name, human_bytes(free_bytes), human_bytes(config.gpu_memory.weights),
        config.token_budget, human_bytes(config.gpu_memory.work), human_bytes(pool_bytes)));
  }
  return pool_bytes;
}

void check_options(const RunOptions& options, const ModelConfig& model) {
  if (!options.length_prior.empty() && !options.length_prediction) {
    throw Error(
        "--length-prior is given and --length-prediction is off: a prior is for predictions");
  }
  if (options.max_model_len && *options.max_model_len > model.context_length) {
    throw Error(fmt::format("--max-model-len is {}; this model's context has {} tokens",
                            *options.max_model_len, model.context_length));
  }
}

}  // namespace

SamplingParams resolve_defaults(const SamplingDefaults& typed, const GenerationConfig& of_model) {
  SamplingParams defaults;
  const auto first_of = [](const auto& a, const auto& b, auto otherwise) {
    return a ? *a : b.value_or(otherwise);
  };
  defaults.max_tokens = typed.max_tokens;
  defaults.temperature = first_of(typed.temperature, of_model.temperature, defaults.temperature);
  defaults.top_p = first_of(typed.top_p, of_model.top_p, defaults.top_p);
  defaults.top_k = first_of(typed.top_k, of_model.top_k, defaults.top_k);
  defaults.min_p = of_model.min_p.value_or(defaults.min_p);
  defaults.repetition_penalty = of_model.repetition_penalty.value_or(defaults.repetition_penalty);
  return defaults;
}

RunConfig resolve(const RunOptions& options, const ModelFile& file) {
  const ModelConfig& model = file.config;
  check_options(options, model);
  RunConfig config;
  config.options = options;
  config.defaults = resolve_defaults(options.defaults, file.generation);
  CHECK(file.adapters.size() == options.lora.size());
  for (const LoraFile& adapter : file.adapters) config.lora_digests.push_back(lora_digest(adapter));
  resolve_backend(options.device, config);
  const bool on_gpu = config.backend == BackendKind::kCuda;
  // Rectangles of whole prompts have steps of their own.
  if (options.batching != Batching::kPacked) config.options.chunked_prefill = false;
  config.threads = options.threads.value_or(usable_thread_count());
  config.cpu_isa = std::string(find_cpu_kernels(options.cpu_isa).isa);
  config.precision = options.precision.value_or(on_gpu ? Precision::kFast : Precision::kExact);
  config.kv_type =
      options.kv_type.value_or(config.precision == Precision::kFast ? KvType::kF16 : KvType::kF32);

  int64_t pool_bytes = 0;
  if (on_gpu) {
    check_gpu_options(config);
    config.kv_bytes_per_block = gpu_kv_bytes_per_block(config.kv_type, model);
    pool_bytes = settle_gpu_memory(file, config);
  } else {
    config.kv_bytes_per_block = static_cast<int64_t>(
        kv_bytes_per_block({config.kv_type, model.n_layers, model.n_kv_heads, model.head_dim}));
    config.token_budget = options.max_num_batched_tokens.value_or(kDefaultTokenBudget);
    pool_bytes = cpu_pool_bytes(options);
  }
  const int64_t n_blocks = pool_bytes / config.kv_bytes_per_block;
  if (n_blocks < 1) {
    throw Error(fmt::format(
        "the KV cache has {} bytes (--kv-memory); this model needs {} bytes for a block of {} "
        "tokens, and one block at least",
        pool_bytes, config.kv_bytes_per_block, kKvBlockTokens));
  }
  config.n_kv_blocks = static_cast<int32_t>(std::min<int64_t>(n_blocks, INT32_MAX / 2));
  config.max_line_blocks = config.n_kv_blocks;

  const int64_t pool_tokens = int64_t{config.n_kv_blocks} * kKvBlockTokens;
  config.allowed_len = options.max_model_len.value_or(model.context_length);
  config.max_model_len = options.max_model_len.value_or(
      static_cast<int32_t>(std::min<int64_t>(model.context_length, pool_tokens)));
  return config;
}

}  // namespace prefold
