// Every CPU kernel, compiled for scalar. The flags live in kernels/CMakeLists.txt.
#define KERNEL_ISA scalar

#include "kernels/cpu/attention.inc"
#include "kernels/cpu/attention_int8.inc"
#include "kernels/cpu/elementwise.inc"
#include "kernels/cpu/gemm.inc"
#include "kernels/cpu/gemm_int8.inc"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/moe.inc"
#include "kernels/cpu/vocab.inc"

namespace prefold {

extern const CpuKernels kCpuKernels_scalar;
const CpuKernels kCpuKernels_scalar{"scalar",
                                    &scalar::kGemmKernels,
                                    &scalar::kInt8Kernels,
                                    &scalar::kAttentionKernels,
                                    &scalar::attention_int8_impl::walk,
                                    &scalar::kElementwiseKernels,
                                    &scalar::kVocabKernels,
                                    &scalar::kMoeKernels};

}  // namespace prefold
