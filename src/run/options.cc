#include "run/options.h"

#include <algorithm>

#include "base/error.h"
#include "base/thread_pool.h"
#include "engine/kv_storage.h"
#include "kernels/cpu/kernels.h"
#include "plan/cost_model.h"
#include "run/host_info.h"
#include "schedule/job.h"

namespace prefold {
namespace {

constexpr double kDefaultMemoryShare = 0.6;

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

nlohmann::ordered_json to_json(const RunConfig& config) {
  const RunOptions& options = config.options;
  const SamplingParams& defaults = options.defaults;
  nlohmann::ordered_json json = {{"model", options.model},
                                 {"input", options.inputs},
                                 {"output", options.output},
                                 {"max_num_batched_tokens", config.token_budget},
                                 {"cost_model", nullptr},
                                 {"max_model_len", config.max_model_len},
                                 {"kv_memory", config.n_kv_blocks * config.kv_bytes_per_block},
                                 {"kv_type", kv_type_name(config.kv_type)},
                                 {"precision", precision_name(options.precision)},
                                 {"cpu_isa", config.cpu_isa},
                                 {"threads", config.threads},
                                 {"sharing", sharing_name(options.sharing)},
                                 {"attention", options.shared_attention ? "shared" : "flat"},
                                 {"batching", batching_name(options.batching)},
                                 {"order", options.order == Order::kRatio ? "ratio" : "file"},
                                 {"chunked_prefill", options.chunked_prefill},
                                 {"length_prediction", options.length_prediction},
                                 {"length_prior", nullptr},
                                 {"seed", options.seed},
                                 {"ordered", options.ordered},
                                 {"usage_details", options.usage_details},
                                 {"max_tokens", nullptr},
                                 {"temperature", defaults.temperature},
                                 {"top_p", defaults.top_p},
                                 {"top_k", defaults.top_k}};
  if (!options.cost_model.empty()) json["cost_model"] = options.cost_model;
  if (defaults.max_tokens) json["max_tokens"] = *defaults.max_tokens;
  if (!options.length_prior.empty()) json["length_prior"] = options.length_prior;
  return json;
}

RunConfig resolve(const RunOptions& options, const ModelConfig& model) {
  if (!options.length_prior.empty() && !options.length_prediction) {
    throw Error(
        "--length-prior is given and --length-prediction is off: a prior is for predictions");
  }
  RunConfig config;
  config.options = options;
  // Rectangles of whole prompts have steps of their own.
  if (options.batching != Batching::kPacked) config.options.chunked_prefill = false;
  config.token_budget = options.max_num_batched_tokens.value_or(kDefaultTokenBudget);
  config.threads = options.threads.value_or(usable_thread_count());
  config.cpu_isa = std::string(find_cpu_kernels(options.cpu_isa).isa);
  config.kv_type =
      options.kv_type.value_or(options.precision == Precision::kFast ? KvType::kF16 : KvType::kF32);
  config.kv_bytes_per_block = static_cast<int64_t>(
      kv_bytes_per_block({config.kv_type, model.n_layers, model.n_kv_heads, model.head_dim}));

  const int64_t pool_bytes = options.kv_memory_bytes.value_or(
      static_cast<int64_t>(kDefaultMemoryShare * static_cast<double>(available_memory_bytes())));
  const int64_t n_blocks = pool_bytes / config.kv_bytes_per_block;
  if (n_blocks <= kSpareBlocks) {
    throw Error(fmt::format(
        "the KV cache has {} bytes (--kv-memory); this model needs {} bytes for {} tokens, and "
        "{} such blocks at least",
        pool_bytes, config.kv_bytes_per_block, kKvBlockTokens, kSpareBlocks + 1));
  }
  config.n_kv_blocks = static_cast<int32_t>(std::min<int64_t>(n_blocks, INT32_MAX / 2));

  if (options.max_model_len && *options.max_model_len > model.context_length) {
    throw Error(fmt::format("--max-model-len is {}; this model's context has {} tokens",
                            *options.max_model_len, model.context_length));
  }
  const int64_t pool_tokens = int64_t{config.n_kv_blocks - kSpareBlocks} * kKvBlockTokens;
  config.max_model_len = options.max_model_len.value_or(
      static_cast<int32_t>(std::min<int64_t>(model.context_length, pool_tokens)));
  return config;
}

}  // namespace prefold
