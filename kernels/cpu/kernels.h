// The table of CPU kernels, one for each instruction set, and the choice among them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/gemm_int8.h"
#include "kernels/cpu/moe.h"
#include "kernels/cpu/vocab.h"

namespace prefold {

struct CpuKernels {
  std::string_view isa;  // "scalar", "avx2", "avxvnni", "avx512", "avx512vnni"
  const GemmKernels* gemm;
  const Int8Kernels* gemm_int8;
  const AttentionKernels* attention;
  AttentionWalkFn walk_attention_int8;  // integer products over an int8 cache
  const ElementwiseKernels* elementwise;
  const VocabKernels* vocab;
  const MoeKernels* moe;
};

// Those that this processor can run, slowest first; scalar is always there.
std::vector<const CpuKernels*> available_cpu_kernels();

// name: "auto" (the fastest) or an instruction set. Throws Error naming what this processor has.
const CpuKernels& find_cpu_kernels(std::string_view name);

}  // namespace prefold
