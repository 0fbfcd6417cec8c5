// Every CPU kernel, compiled for avx512. The flags live in kernels/CMakeLists.txt.
#define KERNEL_ISA avx512

#include "kernels/cpu/attention.inc"
#include "kernels/cpu/attention_int8.inc"
#include "kernels/cpu/elementwise.inc"
#include "kernels/cpu/gemm.inc"
#include "kernels/cpu/gemm_int8.inc"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/moe.inc"
#include "kernels/cpu/vocab.inc"

namespace prefold {

extern const CpuKernels kCpuKernels_avx512;
const CpuKernels kCpuKernels_avx512{"avx512",
                                    &avx512::kGemmKernels,
                                    &avx512::kInt8Kernels,
                                    &avx512::kAttentionKernels,
                                    &avx512::attention_int8_impl::walk,
                                    &avx512::kElementwiseKernels,
                                    &avx512::kVocabKernels,
                                    &avx512::kMoeKernels};

}  // namespace prefold
