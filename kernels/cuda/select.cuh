// Selection over a row of logits by a block of kSelectThreads threads. Amounts are integers, so no
// result depends on the order in which threads add them up. Every function is called by all threads
// and gives all of them the same result.
#pragma once

#include "kernels/cuda/vocab.cuh"

namespace prefold::cuda {

constexpr int kSelectThreads = 1024;
constexpr int kBins = kSelectThreads;  // each thread looks after one
constexpr int kDigitBits = 10;         // log2(kBins)
constexpr int kMaxCandidates = 2048;
static_assert(kBins == 1 << kDigitBits && kRankBits % kDigitBits == 0);

struct SelectScratch {
  unsigned long long bins[kBins];
  uint64_t candidates[kMaxCandidates];  // ranks
  uint64_t warp_sums[32];
  uint64_t before;
  int32_t bin;
  int32_t n_candidates;
};

struct Row {
  const float* logits;
  int32_t n_vocab;
};

template <class Fn>
__device__ void for_each_logit(const Row& row, Fn fn) {
  for_each_logit(row.logits, 0, row.n_vocab, static_cast<int32_t>(threadIdx.x), kSelectThreads, fn);
}

// Bins of equal width over the distance from the best logit; the last one takes all from `range`
// on.
struct DistanceBins {
  float max_logit;
  float scale;

  __device__ DistanceBins(float max_of_row, float range)
      : max_logit(max_of_row), scale(static_cast<float>(kBins) / range) {}
  __device__ int32_t operator()(float logit) const {
    const int32_t bin = __float2int_rz(__fmul_rn(__fsub_rn(max_logit, logit), scale));
    return bin < kBins ? bin : kBins - 1;
  }
};

struct FoundBin {
  int32_t bin;      // kBins: the total is less than needed
  uint64_t needed;  // of the bin's amount: what the bins before it lack
};

__device__ inline void clear_bins(SelectScratch& scratch) {
  scratch.bins[threadIdx.x] = 0;
  __syncthreads();
}

// The first bin at which the running sum reaches needed_of(total) >= 1.
template <class NeededOf>
__device__ FoundBin find_bin(SelectScratch& scratch, NeededOf needed_of) {
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  __syncthreads();
  const uint64_t amount = scratch.bins[threadIdx.x];
  const uint64_t in_warp = warp_prefix_sum(amount);
  if (lane == 31) scratch.warp_sums[warp] = in_warp;
  if (threadIdx.x == 0) {
    scratch.bin = kBins;
    scratch.before = 0;
  }
  __syncthreads();
  const uint64_t of_warp = scratch.warp_sums[lane];
  const uint64_t to_warp = warp_prefix_sum(of_warp);
  const uint64_t needed = needed_of(__shfl_sync(kAllLanes, to_warp, 31));
  const uint64_t before = __shfl_sync(kAllLanes, to_warp - of_warp, warp) + in_warp - amount;
  if (before < needed && needed <= before + amount) {
    scratch.bin = static_cast<int32_t>(threadIdx.x);
    scratch.before = before;
  }
  __syncthreads();
  return {scratch.bin, needed - scratch.before};
}

// The rank at which the running sum of amounts, best tokens first, reaches `needed`.
// each(fn) calls fn(rank, amount) for the block's tokens.
template <class Each>
__device__ uint64_t radix_select(SelectScratch& scratch, uint64_t needed, Each each) {
  uint64_t prefix = 0;
  for (int shift = kRankBits - kDigitBits; shift >= 0; shift -= kDigitBits) {
    clear_bins(scratch);
    each([&](uint64_t rank, uint64_t amount) {
      if (rank >> shift >> kDigitBits != prefix) return;
      atomicAdd(&scratch.bins[~(rank >> shift) & (kBins - 1)], amount);
    });
    const FoundBin found = find_bin(scratch, [needed](uint64_t) { return needed; });
    needed = found.needed;
    prefix = prefix << kDigitBits | (kBins - 1 - found.bin);
  }
  return prefix;
}

// Ranks of the tokens that passes(logit, id) to scratch.candidates, as many as there is room for.
// Returns how many there are.
template <class Passes>
__device__ int32_t collect(SelectScratch& scratch, const Row& row, Passes passes) {
  if (threadIdx.x == 0) scratch.n_candidates = 0;
  __syncthreads();
  for_each_logit(row, [&](float logit, int32_t id) {
    if (!passes(logit, id)) return;
    const int32_t place = atomicAdd(&scratch.n_candidates, 1);
    if (place < kMaxCandidates) scratch.candidates[place] = rank_of(logit, id);
  });
  __syncthreads();
  return scratch.n_candidates;
}

// The rank of the last of the fewest best tokens whose amounts reach needed_of(total), 0 if all
// tokens together do not. amount_of(logit, id) is 0 for a logit that is not finite.
template <class AmountOf, class NeededOf>
__device__ uint64_t last_needed(SelectScratch& scratch, const Row& row, const DistanceBins& bin_of,
                                AmountOf amount_of, NeededOf needed_of) {
  clear_bins(scratch);
  for_each_logit(row, [&](float logit, int32_t id) {
    const uint64_t amount = amount_of(logit, id);
    if (amount != 0) atomicAdd(&scratch.bins[bin_of(logit)], amount);
  });
  const FoundBin found = find_bin(scratch, needed_of);
  if (found.bin == kBins) return 0;

  const auto is_in_bin = [&](float logit, int32_t id) {
    return bin_of(logit) == found.bin && amount_of(logit, id) != 0;
  };
  const int32_t n_candidates = collect(scratch, row, is_in_bin);
  if (n_candidates > kMaxCandidates) {
    return radix_select(scratch, found.needed, [&](auto fn) {
      for_each_logit(row, [&](float logit, int32_t id) {
        if (is_in_bin(logit, id)) fn(rank_of(logit, id), amount_of(logit, id));
      });
    });
  }
  return radix_select(scratch, found.needed, [&](auto fn) {
    for (int i = static_cast<int>(threadIdx.x); i < n_candidates; i += kSelectThreads) {
      const uint64_t rank = scratch.candidates[i];
      fn(rank, amount_of(logit_of_rank(rank), id_of_rank(rank)));
    }
  });
}

// The first id at which the running sum of amounts reaches needed_of(total) >= 1. Sums are taken of
// 32 segments, one a warp, then of the segment that holds the place, down to 128 ids.
template <class AmountOf, class NeededOf>
__device__ int32_t id_at_sum(SelectScratch& scratch, const Row& row, AmountOf amount_of,
                             NeededOf needed_of) {
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  constexpr int32_t kFewest = 128;  // ids that a warp loads at once
  int32_t begin = 0, end = row.n_vocab, segment = 0;
  uint64_t needed = 0;
  while (segment != kFewest) {
    const bool is_first = segment == 0;
    segment = (end - begin + 32 * kFewest - 1) / (32 * kFewest) * kFewest;
    const int32_t segment_begin = begin + warp * segment;
    uint64_t sum = 0;
    for_each_logit(row.logits, segment_begin, min(end, segment_begin + segment), lane, 32,
                   [&](float logit, int32_t id) { sum += amount_of(logit, id); });
    sum = warp_sum(sum);
    if (lane == 0) scratch.warp_sums[warp] = sum;
    __syncthreads();
    const uint64_t of_segment = scratch.warp_sums[lane];
    __syncthreads();
    const uint64_t to_segment = warp_prefix_sum(of_segment);
    if (is_first) needed = needed_of(__shfl_sync(kAllLanes, to_segment, 31));
    const int found = __ffs(static_cast<int>(__ballot_sync(kAllLanes, to_segment >= needed))) - 1;
    needed -= __shfl_sync(kAllLanes, to_segment - of_segment, found);
    begin += found * segment;
    end = min(end, begin + segment);
  }

  uint64_t amounts[4];
  const float4 x = load_logits(row.logits, begin + 4 * lane, row.n_vocab);
  const int32_t first_id = begin + 4 * lane;
  for_four(x, 0, [&](float logit, int32_t i) { amounts[i] = amount_of(logit, first_id + i); });
  const uint64_t of_lane = amounts[0] + amounts[1] + amounts[2] + amounts[3];
  const uint64_t to_lane = warp_prefix_sum(of_lane);
  uint64_t running = to_lane - of_lane;
  int32_t id = first_id;
  for (int i = 0; i < 3; ++i) {
    running += amounts[i];
    if (running < needed) ++id;
  }
  const int found = __ffs(static_cast<int>(__ballot_sync(kAllLanes, to_lane >= needed))) - 1;
  return __shfl_sync(kAllLanes, id, found);
}

}  // namespace prefold::cuda
