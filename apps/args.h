// The command line: what was typed, parsed and range-checked, nothing resolved.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "run/options.h"

namespace prefold {

enum class Command { kRun, kPlan, kInspect, kTokenize, kRender };

struct Args {
  Command command = Command::kRun;
  RunOptions run;             // run and plan
  std::string model;          // inspect, tokenize, render
  bool decode = false;        // tokenize
  std::string template_file;  // render
};

// Prints help or version and returns the exit status, or fills `args` and returns nothing.
std::optional<int> parse_args(int argc, char** argv, Args& args);

}  // namespace prefold
