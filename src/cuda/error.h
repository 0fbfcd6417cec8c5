// Every status of CUDA is checked with one of these. They throw Error with the text
//   CUDA: <what>: <CUDA's message> (<its name, e.g. cudaErrorMemoryAllocation>)
// A kernel that fails while it runs is noticed by a later call; the text then goes on with the
// kernel launched last by this thread, since it or one before it failed, and with the way to
// learn which. The pending error of the CUDA runtime is taken back before they throw.
#pragma once

#include <cuda_runtime_api.h>

namespace prefold::cuda {

// what: the action, e.g. "copy of the step's tables". Does nothing if status is cudaSuccess.
void check_cuda(const char* what, cudaError_t status);

// For what a launch_<name> function of kernels/cuda returned; kernel is a literal: it is kept.
void check_launch(const char* kernel, cudaError_t status);

}  // namespace prefold::cuda
