#include "kernels/cuda/attention_tensor.cuh"

namespace prefold::cuda {

template cudaError_t prepare_attention_of<__nv_bfloat16>(int32_t, int32_t);
template cudaError_t launch_attention_of<__nv_bfloat16>(const AttentionArgs&, cudaStream_t);

}  // namespace prefold::cuda
