// One type of attention.h's functions, and the choice of a kernel by head size.
#pragma once

#include <type_traits>

#include "kernels/cuda/attention.h"

namespace prefold::cuda {

// For __half (attention_f16.cu), __nv_bfloat16 (attention_bf16.cu), float (attention_exact.cu).
template <typename T>
cudaError_t prepare_attention_of(int32_t head_dim, int32_t max_shared_bytes);
template <typename T>
cudaError_t launch_attention_of(const AttentionArgs& args, cudaStream_t stream);

// fn(std::integral_constant<int, head_dim>), if there is a kernel for it.
template <typename Fn>
cudaError_t with_head_dim(int32_t head_dim, Fn fn) {
  switch (head_dim) {
    case 16:
      return fn(std::integral_constant<int, 16>());
    case 32:
      return fn(std::integral_constant<int, 32>());
    case 48:
      return fn(std::integral_constant<int, 48>());
    case 64:
      return fn(std::integral_constant<int, 64>());
    case 80:
      return fn(std::integral_constant<int, 80>());
    case 96:
      return fn(std::integral_constant<int, 96>());
    case 112:
      return fn(std::integral_constant<int, 112>());
    case 128:
      return fn(std::integral_constant<int, 128>());
    case 256:
      return fn(std::integral_constant<int, 256>());
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace prefold::cuda
