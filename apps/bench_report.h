// What `prefold bench` found out, as Markdown tables and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench_runs.h"

namespace prefold {

inline constexpr const char* kBenchSchema = "prefold-bench/1";

struct SwitchResult {
  std::string name;
  Measured measured;
};

struct WorkloadResult {
  Workload workload;
  std::string input_digest;  // of the input file's bytes
  WorkloadNeeds needs;
  std::vector<SwitchResult>
      switches;  // the first one is the default; without --ablate the only one
};

struct BenchResult {
  double fma_flops = 0;  // measured peak, all threads; 0: not measured (a GPU's)
  uint64_t seed = 0;
  int32_t repeat = 0;
  std::vector<WorkloadResult> workloads;  // at least one
};

// Prompt and answer tokens of all requests, as if nothing were shared, by the median's seconds.
double tokens_per_s(const Measured& measured);

std::string machine_line(const BenchResult& result);
std::string workload_table(const BenchResult& result);  // the default of each, and its bound
// Where its time went; empty where the engine is not told.
std::string op_table(const BenchResult& result);
std::string ablation_table(const WorkloadResult& workload);

nlohmann::ordered_json bench_json(const BenchResult& result);

}  // namespace prefold
