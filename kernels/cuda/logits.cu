#include "kernels/cuda/logits.h"
#include "kernels/cuda/vocab.cuh"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kLoads = kLogitsChunk / (4 * kThreads);  // of four logits, a thread

// The best of the block, in every thread. No logit is finite: rank 0.
__device__ uint64_t block_max(uint64_t rank) {
  __shared__ uint64_t ranks[kWarps];
  rank = warp_max(rank);
  if (threadIdx.x % 32 == 0) ranks[threadIdx.x / 32] = rank;
  __syncthreads();
  return warp_max(ranks[threadIdx.x % kWarps]);
}

// The sum of the block, in thread 0.
__device__ float block_sum(float x) {
  __shared__ float sums[kWarps];
  x = warp_sum(x);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = sums[0];
  for (int warp = 1; warp < kWarps; ++warp) sum += sums[warp];
  return sum;
}

// blockIdx.x is the item, blockIdx.y the chunk.
__global__ void __launch_bounds__(kThreads) logits_parts(LogitsPartsArgs args) {
  const int item = static_cast<int>(blockIdx.x);
  if (args.only_changed != nullptr) {
    const TokenItem token = load16(args.items + item);
    if (token.is_score || args.only_changed[token.slot].n_changes == 0) return;
  }
  const float* row = args.logits + item * args.stride;
  const int32_t begin =
      static_cast<int32_t>(blockIdx.y) * kLogitsChunk + 4 * static_cast<int32_t>(threadIdx.x);

  float4 x[kLoads];
#pragma unroll
  for (int i = 0; i < kLoads; ++i) x[i] = load_logits(row, begin + i * 4 * kThreads, args.n_vocab);

  float best = lowest_logit();
  int32_t best_id = 0;
#pragma unroll
  for (int i = 0; i < kLoads; ++i) {
    for_four(x[i], begin + i * 4 * kThreads, [&](float logit, int32_t id) {
      if (logit > best && is_below_infinity(logit)) {
        best = logit;
        best_id = id;
      }
    });
  }
  const uint64_t rank = block_max(best == lowest_logit() ? 0 : rank_of(best, best_id));
  LogitsPart part{lowest_logit(), 0, 0.0f, 0};
  if (rank != 0) {
    part.logit = logit_of_rank(rank);
    part.id = id_of_rank(rank);
    if (args.only_changed == nullptr && load16(args.items + item).wants_logprob) {
      float sum = 0.0f;
#pragma unroll
      for (int i = 0; i < kLoads; ++i) {
        for_four(x[i], 0, [&](float logit, int32_t) {
          if (is_below_infinity(logit)) sum += scaled_exp<0>(logit - part.logit);
        });
      }
      part.sum = block_sum(sum);
    }
  }
  if (threadIdx.x == 0) store16(args.parts + item * gridDim.y + blockIdx.y, part);
}

}  // namespace

cudaError_t launch_logits_parts(const LogitsPartsArgs& args, cudaStream_t stream) {
  if (args.n_items == 0) return cudaSuccess;
  const dim3 grid(static_cast<unsigned>(args.n_items),
                  static_cast<unsigned>(n_logits_chunks(args.n_vocab)));
  logits_parts<<<grid, kThreads, 0, stream>>>(args);
  return cudaGetLastError();
}

}  // namespace prefold::cuda
