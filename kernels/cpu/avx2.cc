// Every CPU kernel, compiled for avx2. The flags live in kernels/CMakeLists.txt.
#define KERNEL_ISA avx2

#include "kernels/cpu/attention.inc"
#include "kernels/cpu/attention_int8.inc"
#include "kernels/cpu/elementwise.inc"
#include "kernels/cpu/gemm.inc"
#include "kernels/cpu/gemm_int8.inc"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/moe.inc"
#include "kernels/cpu/vocab.inc"

namespace prefold {

extern const CpuKernels kCpuKernels_avx2;
const CpuKernels kCpuKernels_avx2{"avx2",
                                  &avx2::kGemmKernels,
                                  &avx2::kInt8Kernels,
                                  &avx2::kAttentionKernels,
                                  &avx2::attention_int8_impl::walk,
                                  &avx2::kElementwiseKernels,
                                  &avx2::kVocabKernels,
                                  &avx2::kMoeKernels};

}  // namespace prefold
