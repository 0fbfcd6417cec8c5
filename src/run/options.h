// A run's settings: as typed (RunOptions), then resolved (RunConfig). The report prints the latter.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"
#include "ops/attention.h"
#include "ops/device.h"
#include "plan/request.h"

namespace prefold {

enum class Sharing { kNone, kLru, kTree };
enum class Batching { kPacked, kSorted, kPadded };
enum class Order { kFile, kRatio };

struct RunOptions {
  std::string model;
  std::vector<std::string> inputs;
  std::string output;
  std::string report;  // empty: none

  std::optional<int32_t> max_num_batched_tokens;
  std::string cost_model;  // a file; empty: of the cache, or measured
  std::optional<int64_t> kv_memory_bytes;
  std::optional<int32_t> max_model_len;
  std::optional<int32_t> threads;
  std::optional<KvType> kv_type;  // resolved: f32, or f16 with Precision::kFast
  std::string cpu_isa = "auto";
  Sharing sharing = Sharing::kTree;
  Batching batching = Batching::kPacked;
  Order order = Order::kRatio;
  bool shared_attention = true;  // false: --attention flat
  bool chunked_prefill = true;
  bool length_prediction = true;
  std::string length_prior;  // a report; empty: none
  Precision precision = Precision::kExact;

  SamplingParams defaults;  // for what a line leaves open
  uint64_t seed = 0;        // of requests without a seed of their own
  bool ordered = false;
  bool overwrite = false;
  bool usage_details = false;
  bool quiet = false;
};

// Complete and valid; const from here on.
struct RunConfig {
  RunOptions options;
  int32_t token_budget = 0;  // until the costs are known (run/job_plan.h) kDefaultTokenBudget
  int32_t threads = 0;
  int32_t max_model_len = 0;
  KvType kv_type = KvType::kF32;
  int32_t n_kv_blocks = 0;  // that the pool may have at most
  int64_t kv_bytes_per_block = 0;
  std::string cpu_isa;
};

nlohmann::ordered_json to_json(const RunConfig& config);
const char* kv_type_name(KvType type);
const char* precision_name(Precision precision);

// Throws Error naming the option, its value and what was wanted.
RunConfig resolve(const RunOptions& options, const ModelConfig& model);

}  // namespace prefold
