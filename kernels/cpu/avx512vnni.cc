// The integer matrix product with AVX-512's byte dot products; all else is as in avx512.cc. The
// flags live in kernels/CMakeLists.txt.
#define KERNEL_ISA avx512vnni

#include "kernels/cpu/gemm_int8.inc"

namespace prefold {

extern const Int8Kernels kInt8Kernels_avx512vnni;
const Int8Kernels kInt8Kernels_avx512vnni = avx512vnni::kInt8Kernels;

}  // namespace prefold
