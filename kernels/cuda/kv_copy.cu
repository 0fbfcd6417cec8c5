#include "kernels/cuda/kv_copy.h"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 128;

// Pieces of 16 bytes. A grid row is K of a layer, or V of one.
__global__ void __launch_bounds__(kThreads)
    kv_copy_kernel(uint4* k, uint4* v, int64_t layer_pieces, int32_t block_pieces,
                   int32_t row_pieces, const BlockCopy* copies, int32_t n_copies) {
  const int32_t piece = static_cast<int32_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (piece >= block_pieces) return;
  const int32_t token = piece / row_pieces % kKvBlockTokens;
  uint4* layer = (blockIdx.y % 2 == 0 ? k : v) + blockIdx.y / 2 * layer_pieces + piece;
  for (int32_t i = 0; i < n_copies; ++i) {
    const BlockCopy copy = copies[i];
    if (token >= copy.n_tokens) continue;
    layer[int64_t{copy.to} * block_pieces] = layer[int64_t{copy.from} * block_pieces];
  }
}

}  // namespace

cudaError_t launch_kv_copy(const KvCopyArgs& args, cudaStream_t stream) {
  if (args.n_copies == 0 || args.n_layers == 0) return cudaSuccess;
  const int32_t row_pieces = args.head_dim * (args.type == FloatType::kF32 ? 4 : 2) / 16;
  const int32_t block_pieces = args.n_kv_heads * kKvBlockTokens * row_pieces;
  const dim3 grid((block_pieces + kThreads - 1) / kThreads, 2 * args.n_layers);
  kv_copy_kernel<<<grid, kThreads, 0, stream>>>(
      static_cast<uint4*>(args.k), static_cast<uint4*>(args.v),
      int64_t{args.n_blocks} * block_pieces, block_pieces, row_pieces, args.copies, args.n_copies);
  return cudaGetLastError();
}

}  // namespace prefold::cuda
