#include "kernels/cuda/attention_tensor.cuh"

namespace prefold::cuda {

template cudaError_t prepare_attention_of<__half>(int32_t, int32_t);
template cudaError_t launch_attention_of<__half>(const AttentionArgs&, cudaStream_t);

}  // namespace prefold::cuda
