// kernel_bench --device cuda: the CUDA engine's kernels on the shapes of a model of 8 billion
// parameters.
#pragma once

namespace prefold {

// The command line after "--device cuda"; the exit status.
int cuda_bench(int argc, char** argv);

}  // namespace prefold
