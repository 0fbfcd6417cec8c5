#include "kernels/cuda/attention.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/attention_dispatch.cuh"

namespace prefold::cuda {

cudaError_t prepare_attention(FloatType type, int32_t head_dim, int32_t max_shared_bytes) {
  switch (type) {
    case FloatType::kF16:
      return prepare_attention_of<__half>(head_dim, max_shared_bytes);
    case FloatType::kBf16:
      return prepare_attention_of<__nv_bfloat16>(head_dim, max_shared_bytes);
    case FloatType::kF32:
      return prepare_attention_of<float>(head_dim, max_shared_bytes);
  }
  return cudaErrorInvalidValue;
}

cudaError_t launch_attention(const AttentionArgs& args, cudaStream_t stream) {
  if (args.max_items == 0) return cudaSuccess;
  switch (args.type) {
    case FloatType::kF16:
      return launch_attention_of<__half>(args, stream);
    case FloatType::kBf16:
      return launch_attention_of<__nv_bfloat16>(args, stream);
    case FloatType::kF32:
      return launch_attention_of<float>(args, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace prefold::cuda
