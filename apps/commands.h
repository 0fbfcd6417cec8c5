// The commands: what each is told on the command line, and what it does. All throw Error for bad
// input and return the exit status.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "run/merge_shards.h"
#include "run/options.h"

namespace prefold {

struct PlanOptions {
  RunOptions run;
  std::vector<int32_t> shards;  // into how many to divide the job; empty: it is not divided
  std::string shard_dir;        // empty: only tell
};

struct BenchOptions {
  RunOptions run;                      // model, engine and plan; inputs and output are bench's own
  std::vector<std::string> workloads;  // empty: all
  uint64_t seed = 1;                   // of the workloads
  int32_t repeat = 3;
  bool ablate = false;
  std::string emit;  // a folder: write the workloads and run nothing
  std::string json;  // empty: none
};

struct CheckOptions {
  std::vector<std::string> inputs;
  std::string model;  // empty: none
  std::vector<LoraOption> lora;
  std::optional<int32_t> threads;
};

struct ReportOptions {
  std::vector<std::string> reports;  // one or two
  std::string output;
};

struct InspectOptions {
  std::string model;
};

struct TokenizeOptions {
  std::string model;
  bool decode = false;
};

struct RenderOptions {
  std::string model;
  std::string template_file;  // empty: the model's own
};

enum class Shell { kBash, kZsh, kFish };

struct CompletionsOptions {
  Shell shell = Shell::kBash;
};

struct ManOptions {};

int run_command(const RunOptions& options);
int plan_command(const PlanOptions& options);
int divide_command(const PlanOptions& options);  // plan --shards
int merge_command(const MergeOptions& options);
int check_command(const CheckOptions& options);
int bench_command(const BenchOptions& options);
int report_command(const ReportOptions& options);
int inspect_command(const InspectOptions& options);
int tokenize_command(const TokenizeOptions& options);
int render_command(const RenderOptions& options);
int completions_command(const CompletionsOptions& options);
int man_command(const ManOptions& options);

}  // namespace prefold
