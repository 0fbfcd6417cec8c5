// Launches of the tensor-core kernel, instantiated once a type.
#pragma once

#include "kernels/cuda/attention_dispatch.cuh"
#include "kernels/cuda/attention_kernel.cuh"

namespace prefold::cuda {

// Three stages where two blocks with them fit on a multiprocessor side by side, else two.
template <int kHeadDim>
int32_t attention_stages(int32_t max_shared_bytes) {
  return 2 * 3 * AttentionTile<kHeadDim>::kStageBytes <= max_shared_bytes ? 3 : 2;
}

template <typename T>
cudaError_t prepare_attention_of(int32_t head_dim, int32_t max_shared_bytes) {
  return with_head_dim(head_dim, [&](auto dim) {
    const int32_t n_bytes =
        attention_stages<dim()>(max_shared_bytes) * AttentionTile<dim()>::kStageBytes;
    return cudaFuncSetAttribute(attention_kernel<T, dim()>,
                                cudaFuncAttributeMaxDynamicSharedMemorySize, n_bytes);
  });
}

template <typename T>
cudaError_t launch_attention_of(const AttentionArgs& args, cudaStream_t stream) {
  return with_head_dim(args.head_dim, [&](auto dim) {
    const int32_t n_stages = attention_stages<dim()>(args.max_shared_bytes);
    attention_kernel<T, dim()>
        <<<args.max_items * args.n_kv_heads, kAttentionThreads,
           n_stages * AttentionTile<dim()>::kStageBytes, stream>>>(args, n_stages);
    return cudaGetLastError();
  });
}

}  // namespace prefold::cuda
