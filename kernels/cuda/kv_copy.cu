#include "kernels/cuda/kv_copy.h"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 128;

constexpr int kPieces = 4;  // a thread's, in K and in V alike

// Pieces of 16 bytes. A grid row is a layer.
__global__ void __launch_bounds__(kThreads)
    kv_copy_kernel(uint4* k, uint4* v, int64_t layer_pieces, int32_t block_pieces,
                   int32_t row_pieces, const BlockCopy* copies, int32_t n_copies) {
  const int32_t first = static_cast<int32_t>(blockIdx.x) * kThreads * kPieces + threadIdx.x;
  int32_t token[kPieces];
#pragma unroll
  for (int p = 0; p < kPieces; ++p) {
    const int32_t piece = first + p * kThreads;
    token[p] = piece < block_pieces ? piece / row_pieces % kKvBlockTokens : kKvBlockTokens;
  }
  k += blockIdx.y * layer_pieces + first;
  v += blockIdx.y * layer_pieces + first;
  for (int32_t i = 0; i < n_copies; ++i) {
    const BlockCopy copy = copies[i];
#pragma unroll
    for (int p = 0; p < kPieces; ++p) {
      if (token[p] >= copy.n_tokens) continue;
      const int64_t from = int64_t{copy.from} * block_pieces + p * kThreads;
      const int64_t to = int64_t{copy.to} * block_pieces + p * kThreads;
      const uint4 key = k[from];
      const uint4 value = v[from];
      k[to] = key;
      v[to] = value;
    }
  }
}

}  // namespace

cudaError_t launch_kv_copy(const KvCopyArgs& args, cudaStream_t stream) {
  if (args.n_copies == 0 || args.n_layers == 0) return cudaSuccess;
  const int32_t row_pieces = args.head_dim * (args.type == FloatType::kF32 ? 4 : 2) / 16;
  const int32_t block_pieces = args.n_kv_heads * kKvBlockTokens * row_pieces;
  const dim3 grid((block_pieces + kThreads * kPieces - 1) / (kThreads * kPieces), args.n_layers);
  kv_copy_kernel<<<grid, kThreads, 0, stream>>>(
      static_cast<uint4*>(args.k), static_cast<uint4*>(args.v),
      int64_t{args.n_blocks} * block_pieces, block_pieces, row_pieces, args.copies, args.n_copies);
  return cudaGetLastError();
}

}  // namespace prefold::cuda
