// What a run counted: plain numbers, filled by the stages that know them. report.h makes the report
// of them; docs/formats.md says what each means.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/gpu_info.h"
#include "report/log_histogram.h"
#include "report/step_metrics.h"

namespace prefold {

struct RequestCounts {
  int64_t total = 0;
  int64_t succeeded = 0;
  int64_t failed = 0;  // lines that were no requests count too
  // Of these, lines that an earlier run had finished.
  int64_t kept_succeeded = 0;
  int64_t kept_failed = 0;

  int64_t kept() const { return kept_succeeded + kept_failed; }
  int64_t left() const { return total - succeeded - failed; }
};

// Why the run ended.
struct StopInfo {
  std::string reason = "done";  // or signal, time_limit, max_requests, error
  std::string detail;           // the signal's name, the error's message
};

struct TokenCounts {
  int64_t prompt = 0;            // of all prompts, as if nothing were shared
  int64_t prefill_ideal = 0;     // in the prefix tree: the least that sharing can leave to compute
  int64_t prefill_computed = 0;  // prompt tokens that went through the model
  int64_t prefill_reused = 0;    // prompt tokens whose KV was there already
  int64_t recomputed = 0;  // prompt and output tokens computed once more, for want of KV memory
  int64_t output = 0;
  int64_t prompt_unanswered = 0;  // of `prompt`: of lines that the run left to another one
  int64_t padding = 0;  // rows that belong to no prompt; only with --batching padded or sorted
};

// What was made of predicted lengths of answers (plan/length.h).
struct PredictionCounts {
  int64_t yields = 0;        // sequences that gave their KV memory up and were computed again
  int64_t predicted = 0;     // sequences that were free to stop by themselves
  int64_t error_tokens = 0;  // |predicted with the first token - actual length|, summed
  int64_t under_predicted = 0;
};

struct PhaseTimes {
  double load_s = 0;
  double plan_s = 0;  // reading, template, tokenising, planning, calibrating
  double run_s = 0;   // from the first step to the last answer
  double total_s = 0;
  double engine_wait_s = 0;  // of run_s: no step was running

  double engine_wait_percent() const { return run_s > 0 ? 100.0 * engine_wait_s / run_s : 0.0; }
};

// Where the time of the steps went.
struct OpSeconds {
  double linear = 0;
  double attention = 0;
  double kv_cache = 0;     // appends and copies
  double elementwise = 0;  // norms, rotary embedding, activations, residuals
  double lm_head = 0;
  double sampling = 0;
};

// What an engine on a GPU did besides.
struct GpuMetrics {
  int64_t graphs = 0;  // CUDA graphs
  int64_t replayed_steps = 0;
  int64_t graph_bytes = 0;             // of device memory
  nlohmann::ordered_json cublas_rows;  // run/cublas_store; null if cuBLAS was not to be used
};

struct MemoryPeaks {
  int64_t peak_rss_bytes = 0;
  int64_t peak_kv_bytes = 0;
  int64_t kv_pool_bytes = 0;
  int64_t kv_pool_blocks = 0;
};

struct MachineInfo {
  std::string cpu;
  std::string isa;
  int32_t threads = 0;
  std::optional<GpuInfo> gpu = {};  // none if the run did not use one
};

struct ModelInfo {
  std::string path;
  std::string digest;  // "<algorithm>:<hex>"
  std::string architecture;
};

struct RunMetrics {
  RequestCounts requests;
  StopInfo stop;
  TokenCounts tokens;
  PredictionCounts prediction;
  StepMetrics steps;
  PhaseTimes time;
  std::optional<OpSeconds> ops;   // none where the engine is not told (CUDA)
  std::optional<GpuMetrics> gpu;  // none on the CPU
  LogHistogram ttft;              // from the first step to a request's first output token
  LogHistogram latency;           // from the first step to its last one
  MemoryPeaks memory;
  MachineInfo machine;
  ModelInfo model;
  // Of sequences that were free to stop by themselves (run/length_prior.h).
  nlohmann::ordered_json output_lengths = nlohmann::ordered_json::object();
  nlohmann::ordered_json options = nlohmann::ordered_json::object();  // as resolved
  nlohmann::ordered_json prefix_forest;                               // plan/prefix_forest.h
  nlohmann::ordered_json cost_model;  // what the plan went by; null if nothing had to be run
};

}  // namespace prefold
