// The integer products of matrices and of attention with AVX-512's byte dot products; all else is
// as in avx512.cc. The flags live in kernels/CMakeLists.txt.
#define KERNEL_ISA avx512vnni

#include "kernels/cpu/attention_int8.inc"
#include "kernels/cpu/gemm_int8.inc"

namespace prefold {

extern const Int8Kernels kInt8Kernels_avx512vnni;
const Int8Kernels kInt8Kernels_avx512vnni = avx512vnni::kInt8Kernels;

extern const AttentionWalkFn kWalkAttentionInt8_avx512vnni;
const AttentionWalkFn kWalkAttentionInt8_avx512vnni = avx512vnni::attention_int8_impl::walk;

}  // namespace prefold
