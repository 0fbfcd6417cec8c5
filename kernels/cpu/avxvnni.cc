// The integer products of matrices and of attention with the byte dot products that processors
// without AVX-512 have (AVX-VNNI); all else is as in avx2.cc. The flags live in
// kernels/CMakeLists.txt.
#define KERNEL_ISA avxvnni

#include "kernels/cpu/attention_int8.inc"
#include "kernels/cpu/gemm_int8.inc"

namespace prefold {

extern const Int8Kernels kInt8Kernels_avxvnni;
const Int8Kernels kInt8Kernels_avxvnni = avxvnni::kInt8Kernels;

extern const AttentionWalkFn kWalkAttentionInt8_avxvnni;
const AttentionWalkFn kWalkAttentionInt8_avxvnni = avxvnni::attention_int8_impl::walk;

}  // namespace prefold
