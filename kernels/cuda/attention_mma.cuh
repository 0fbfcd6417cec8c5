// The instructions that the attention kernel needs besides those of tensor_core.cuh.
#pragma once

#include "kernels/cuda/tensor_core.cuh"

namespace prefold::cuda {

// As load_matrices, each matrix transposed.
__device__ __forceinline__ void load_transposed(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// 16 bytes from global to shared memory, or zeros, in which case `from` is not read. Done when
// wait_copies says so, for all threads after the barrier that follows.
__device__ __forceinline__ void copy_async(uint32_t to, const void* from, bool is_valid) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"(to), "l"(from), "r"(is_valid ? 16 : 0)
               : "memory");
#else
  const uint4 x = is_valid ? *static_cast<const uint4*>(from) : make_uint4(0, 0, 0, 0);
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};"
               :
               : "r"(to), "r"(x.x), "r"(x.y), "r"(x.z), "r"(x.w)
               : "memory");
#endif
}

}  // namespace prefold::cuda
