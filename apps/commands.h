// What each command does. All throw Error for bad input and return the exit status.
#pragma once

#include "args.h"

namespace prefold {

int run_command(const RunOptions& options);
int plan_command(const RunOptions& options);
int bench_command(const BenchOptions& options);
int inspect_command(const std::string& model);
int tokenize_command(const std::string& model, bool decode);
int render_command(const std::string& model, const std::string& template_file);

}  // namespace prefold
