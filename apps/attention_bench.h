// kernel_bench attention: attention over the KV cache beside this machine's measured peaks.
#pragma once

namespace prefold {

// The command line after "attention"; the exit status.
int attention_bench(int argc, char** argv);

}  // namespace prefold
