#include "kernels/cuda/logprob.cuh"
#include "kernels/cuda/select.cuh"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kTopBins = 64;
constexpr float kTopRange = 64.0f;  // what most lists of best tokens lie within
static_assert(kMaxTop <= kThreads);

struct Shared {
  LaneBins<kTopBins> bins;
  SelectScratch select;
  uint64_t amounts[kTopBins];
  uint64_t best[kMaxTop];  // ranks, in any order
  int32_t n_best;
};

// The rank of the last of the n_top best finite logits, 0 if there are fewer. Candidates are those
// of its bin and better ones, in shared memory if there is room for all.
__device__ uint64_t last_of_top(Shared& shared, const float* row, int32_t n_vocab, float max_logit,
                                uint64_t n_top) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
  const DistanceBins<kTopBins> bin_of(max_logit, kTopRange);
  const auto each_logit = [&](auto fn) {
    for_each_logit(row, 0, n_vocab, thread, kThreads, [&](float logit, int32_t id) {
      if (isfinite(logit)) fn(logit, id);
    });
  };
  if (thread == 0) shared.select.n_candidates = shared.n_best = 0;
  shared.bins.clear();
  each_logit([&](float logit, int32_t) { shared.bins.add(bin_of(logit), 1); });
  __syncthreads();
  if (thread < kTopBins) shared.amounts[thread] = shared.bins.total(thread);
  __syncthreads();
  constexpr int kEach = kTopBins / 32;
  uint64_t amounts[kEach];
  for (int i = 0; i < kEach; ++i) amounts[i] = shared.amounts[lane * kEach + i];
  const Place found = place_in_warp(amounts, [n_top](uint64_t) { return n_top; });
  const int32_t last_bin = found.at < 0 ? kTopBins - 1 : found.at;

  each_logit([&](float logit, int32_t id) {
    if (bin_of(logit) > last_bin) return;
    const int32_t place = atomicAdd(&shared.select.n_candidates, 1);
    if (place < kMaxCandidates) shared.select.candidates[place] = rank_of(logit, id);
  });
  __syncthreads();
  if (found.at < 0) return 0;
  return radix_select(shared.select, n_top, [&](auto fn) {
    if (shared.select.n_candidates > kMaxCandidates) {
      each_logit([&](float logit, int32_t id) { fn(rank_of(logit, id), 1); });
    } else {
      for (int i = thread; i < shared.select.n_candidates; i += kThreads) {
        fn(shared.select.candidates[i], 1);
      }
    }
  });
}

__global__ void __launch_bounds__(kThreads, 1) top_tokens(SamplingArgs args) {
  __shared__ Shared shared;
  const int item_idx = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  const TokenItem item = load16(args.items + item_idx);
  const int n_top = item.n_top;
  if (n_top == 0) return;
  const float* row = args.logits + item_idx * args.stride;
  const int n_parts = n_logits_chunks(args.n_vocab);
  const Summary raw = merge_parts(args.parts + static_cast<int64_t>(item_idx) * n_parts, n_parts,
                                  item.wants_logprob);
  int32_t n_found = 0;
  if (raw.best != 0) {
    const uint64_t last = last_of_top(shared, row, args.n_vocab, logit_of_rank(raw.best),
                                      static_cast<uint64_t>(n_top));
    const auto take = [&](uint64_t rank) {
      if (rank >= last) shared.best[atomicAdd(&shared.n_best, 1)] = rank;
    };
    if (shared.select.n_candidates > kMaxCandidates) {
      for_each_logit(row, 0, args.n_vocab, thread, kThreads, [&](float logit, int32_t id) {
        if (isfinite(logit)) take(rank_of(logit, id));
      });
    } else {
      for (int i = thread; i < shared.select.n_candidates; i += kThreads) {
        take(shared.select.candidates[i]);
      }
    }
    __syncthreads();
    n_found = shared.n_best;
  }
  TokenResult* out = args.top_results + item.first_top;
  if (thread < n_found) {
    const uint64_t rank = shared.best[thread];
    int place = 0;
    for (int i = 0; i < n_found; ++i) place += shared.best[i] > rank ? 1 : 0;
    out[place] = {id_of_rank(rank), logprob_of(raw, logit_of_rank(rank))};
  } else if (thread < n_top) {
    out[thread] = {kNoToken, lowest_logit()};
  }
}

}  // namespace

cudaError_t launch_top_tokens(const SamplingArgs& args, cudaStream_t stream) {
  if (args.n_items == 0) return cudaSuccess;
  top_tokens<<<static_cast<unsigned>(args.n_items), kThreads, 0, stream>>>(args);
  return cudaGetLastError();
}

}  // namespace prefold::cuda
