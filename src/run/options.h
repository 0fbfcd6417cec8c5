// A run's settings: as typed (RunOptions), then resolved (RunConfig). The report prints the latter.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/gpu_info.h"
#include "model/model_file.h"
#include "ops/attention.h"
#include "ops/device.h"
#include "plan/request_params.h"
#include "report/note.h"

namespace prefold {

enum class Sharing { kNone, kLru, kTree };
enum class Batching { kPacked, kSorted, kPadded };
enum class Order { kFile, kRatio };
enum class DeviceChoice { kAuto, kCpu, kCuda };  // auto: a GPU if there is one, else the CPU

// Of what a line leaves open, what the command line says.
struct SamplingDefaults {
  std::optional<int32_t> max_tokens;
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<int32_t> top_k;
};

// --lora NAME=PATH. An adapter's number is its place among the options.
struct LoraOption {
  std::string name;
  std::string path;
};

struct RunOptions {
  std::string model;
  std::vector<LoraOption> lora;
  std::vector<std::string> inputs;
  std::string output;
  std::string report;  // empty: none

  DeviceChoice device = DeviceChoice::kAuto;
  std::optional<int32_t> max_num_batched_tokens;
  std::string cost_model;  // a file; empty: of the cache, or measured
  std::optional<int64_t> kv_memory_bytes;
  std::optional<int32_t> max_model_len;
  std::optional<int32_t> threads;
  std::optional<KvType> kv_type;       // resolved: f32, or f16 with Precision::kFast
  std::optional<Precision> precision;  // resolved: exact on the CPU, fast on a GPU
  bool deterministic = false;          // of a GPU; the CPU always is
  std::string cpu_isa = "auto";
  Sharing sharing = Sharing::kTree;
  Batching batching = Batching::kPacked;
  Order order = Order::kRatio;
  bool shared_attention = true;  // false: --attention flat
  bool chunked_prefill = true;
  bool length_prediction = true;
  bool cuda_graphs = true;                           // of a GPU; the CPU has none
  MoeGrouping moe_grouping = MoeGrouping::kGrouped;  // of the CPU
  std::string length_prior;                          // a report; empty: none

  SamplingDefaults defaults;
  Pooling pooling = Pooling::kLast;  // of embedding lines
  uint64_t seed = 0;                 // of requests without a seed of their own
  bool ordered = false;
  bool overwrite = false;
  bool resume = false;  // go on where an earlier run of the same job ended
  bool usage_details = false;
  bool quiet = false;
  LogFormat log_format = LogFormat::kText;
  std::string metrics;  // a file for Prometheus; empty: none

  // Stopping early (run/stop_control.h); the two times are the caller's to watch.
  std::optional<int64_t> max_requests;
  std::optional<double> time_limit_s;
  double grace_s = 10;
};

enum class BackendKind { kCpu, kCuda };

// Rows of a step on a GPU, where memory is not very small.
inline constexpr int32_t kGpuTokenBudget = 2048;

// Bytes of device memory: of the weights, and of activations, tables and sampling.
struct GpuMemory {
  int64_t weights = 0;
  int64_t work = 0;
};

// Complete and valid; const from here on.
struct RunConfig {
  RunOptions options;
  // For what a line leaves open: the command line, else the model's generation_config.json, else
  // the defaults of SamplingParams.
  SamplingParams defaults;
  BackendKind backend = BackendKind::kCpu;
  std::optional<GpuInfo> gpu;  // of BackendKind::kCuda
  std::string why_no_gpu;      // what DeviceChoice::kAuto found instead of one
  GpuMemory gpu_memory;        // before the job is known
  Precision precision = Precision::kExact;
  // Rows of a step. On the CPU kDefaultTokenBudget until the costs are known (run/job_plan.h).
  int32_t token_budget = 0;
  int32_t threads = 0;
  int32_t max_model_len = 0;
  // The same before the KV pool limits it: scaled rotary embeddings go by it.
  int32_t allowed_len = 0;
  KvType kv_type = KvType::kF32;
  int32_t n_kv_blocks = 0;      // that the pool may have at most
  int32_t max_line_blocks = 0;  // that one prompt and its answer may need: the same, or in a
                                // resumed job what it was in its first run
  int64_t kv_bytes_per_block = 0;
  std::string cpu_isa;
  std::vector<std::string> lora_digests;  // of options.lora
};

nlohmann::ordered_json to_json(const RunConfig& config);

// Whether answers depend on the request alone, to the bit (docs/architecture.md, I6): always on the
// CPU and with exact products, else if asked for.
bool is_deterministic(const RunConfig& config);
const char* kv_type_name(KvType type);
const char* precision_name(Precision precision);

// RunConfig::defaults by themselves.
SamplingParams resolve_defaults(const SamplingDefaults& typed, const GenerationConfig& of_model);

// `model` has the adapters of the options. Throws Error naming the option, its value and what was
// wanted. Looks at the GPU unless
// options.device is kCpu.
RunConfig resolve(const RunOptions& options, const ModelFile& model);

}  // namespace prefold
