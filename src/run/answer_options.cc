#include "run/answer_options.h"

#include <fmt/format.h>

#include "base/numerics_version.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

// The order in which tensor cores add differs between generations of GPUs; with exact products and
// on the CPU every operation is rounded by itself.
Json compute_capability(const RunConfig& config) {
  if (config.backend != BackendKind::kCuda || config.precision == Precision::kExact) return nullptr;
  return fmt::format("{}.{}", config.gpu->cc_major, config.gpu->cc_minor);
}

// By name: where they lie does not matter.
Json adapters(const RunConfig& config) {
  Json digests = Json::object();
  for (size_t i = 0; i < config.options.lora.size(); ++i) {
    digests[config.options.lora[i].name] = config.lora_digests[i];
  }
  return digests;
}

}  // namespace

Json answer_options(const RunConfig& config) {
  const RunOptions& options = config.options;
  const SamplingParams& defaults = config.defaults;
  return {{"numerics", kNumericsVersion},
          {"device", config.backend == BackendKind::kCuda ? "cuda" : "cpu"},
          {"compute_capability", compute_capability(config)},
          {"deterministic", is_deterministic(config)},
          {"precision", precision_name(config.precision)},
          {"kv_type", kv_type_name(config.kv_type)},
          {"lora", adapters(config)},
          {"max_model_len", or_null(options.max_model_len)},
          {"pooling", options.pooling == Pooling::kLast ? "last" : "mean"},
          {"seed", options.seed},
          {"max_tokens", or_null(defaults.max_tokens)},
          {"temperature", defaults.temperature},
          {"top_p", defaults.top_p},
          {"top_k", defaults.top_k},
          {"min_p", defaults.min_p},
          {"repetition_penalty", defaults.repetition_penalty},
          {"usage_details", options.usage_details}};
}

}  // namespace prefold
