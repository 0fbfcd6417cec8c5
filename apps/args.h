// The command line: what was typed, parsed and range-checked, nothing resolved.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "run/options.h"

namespace prefold {

enum class Command { kRun, kPlan, kBench, kInspect, kTokenize, kRender };

struct BenchOptions {
  RunOptions run;                      // model, engine and plan; inputs and output are bench's own
  std::vector<std::string> workloads;  // empty: all
  uint64_t seed = 1;                   // of the workloads
  int32_t repeat = 3;
  bool ablate = false;
  std::string emit;  // a folder: write the workloads and run nothing
  std::string json;  // empty: none
};

struct Args {
  Command command = Command::kRun;
  RunOptions run;  // run and plan
  BenchOptions bench;
  std::string model;          // inspect, tokenize, render
  bool decode = false;        // tokenize
  std::string template_file;  // render
};

// Prints help or version and returns the exit status, or fills `args` and returns nothing.
std::optional<int> parse_args(int argc, char** argv, Args& args);

}  // namespace prefold
