// Selection among logits by a block of any number of whole warps. Amounts are integers, so no
// result depends on the order in which they are added up, nor on who adds them. Every function is
// called by all threads of a block and gives all of them the same result.
#pragma once

#include "kernels/cuda/sampling.h"
#include "kernels/cuda/vocab.cuh"

namespace prefold::cuda {

// Sums by bin. Lanes add to copies of their own, side by side: the 16 lanes of a phase of 8-byte
// accesses never meet in a bank, whatever their bins.
template <int kBins>
struct LaneBins {
  static constexpr int kCopies = 16;
  unsigned long long sums[kBins * kCopies];

  // The block goes on when all are clear.
  __device__ void clear() {
    for (int i = static_cast<int>(threadIdx.x); i < kBins * kCopies; i += blockDim.x) sums[i] = 0;
    __syncthreads();
  }
  __device__ void add(int bin, uint64_t amount) {
    atomicAdd(&sums[bin * kCopies + threadIdx.x % kCopies], amount);
  }
  // By a thread for itself; neighbours ask for neighbouring bins.
  __device__ uint64_t total(int bin) const {
    uint64_t sum = 0;
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      sum += sums[bin * kCopies + (threadIdx.x + static_cast<unsigned>(i)) % kCopies];
    }
    return sum;
  }
};

// Bins of equal width over the distance from the best logit; the last one takes all from `range`
// on. Of a logit that is at most max_logit; not NaN.
template <int kBins>
struct DistanceBins {
  float max_logit;
  float scale;

  __device__ DistanceBins(float max_of_row, float range)
      : max_logit(max_of_row), scale(static_cast<float>(kBins) / range) {}
  __device__ float place(float logit) const {  // rounded down it is the bin
    return __fmul_rn(__fsub_rn(max_logit, logit), scale);
  }
  __device__ int32_t operator()(float logit) const {
    const int32_t bin = __float2int_rz(place(logit));
    return bin < kBins ? bin : kBins - 1;
  }
};

// Where a running sum reaches what is needed: before it are `before` of it.
struct Place {
  int32_t at;  // of 32 * n; -1: nowhere
  uint64_t before;
};

// Among 32 * kEach amounts, lane i having the i-th kEach. By each warp for itself.
template <int kEach, class NeededOf>
__device__ Place place_in_warp(const uint64_t (&amounts)[kEach], NeededOf needed_of) {
  uint64_t of_lane = 0;
#pragma unroll
  for (int i = 0; i < kEach; ++i) of_lane += amounts[i];
  const uint64_t to_lane = warp_prefix_sum(of_lane);
  const uint64_t needed = needed_of(__shfl_sync(kAllLanes, to_lane, 31));
  const uint32_t reached = __ballot_sync(kAllLanes, to_lane >= needed);
  if (reached == 0) return {-1, 0};
  uint64_t before = to_lane - of_lane;
  int32_t at = static_cast<int32_t>(threadIdx.x % 32) * kEach;
#pragma unroll
  for (int i = 0; i + 1 < kEach; ++i) {
    if (before + amounts[i] >= needed) break;
    before += amounts[i];
    ++at;
  }
  const int lane = __ffs(static_cast<int>(reached)) - 1;
  return {__shfl_sync(kAllLanes, at, lane), __shfl_sync(kAllLanes, before, lane)};
}

constexpr int kDigitBits = 5;
constexpr int kDigits = 1 << kDigitBits;
static_assert(kRankBits % kDigitBits == 0);

struct SelectScratch {
  LaneBins<kDigits> digits;
  uint64_t sums[32];
  uint64_t candidates[kMaxCandidates];  // ranks
  int32_t n_candidates;                 // also those there is no room for
  Place place;
};

// The rank at which the running sum of amounts, best tokens first, reaches `needed` >= 1, which it
// does. each(fn) calls fn(rank, amount) for the block's tokens.
template <class Each>
__device__ uint64_t radix_select(SelectScratch& scratch, uint64_t needed, Each each) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  uint64_t prefix = 0;
  for (int shift = kRankBits - kDigitBits; shift >= 0; shift -= kDigitBits) {
    scratch.digits.clear();
    each([&](uint64_t rank, uint64_t amount) {
      if (rank >> shift >> kDigitBits != prefix) return;
      scratch.digits.add(static_cast<int>(~(rank >> shift) & (kDigits - 1)), amount);
    });
    __syncthreads();
    if (threadIdx.x < kDigits) scratch.sums[threadIdx.x] = scratch.digits.total(threadIdx.x);
    __syncthreads();
    const uint64_t amounts[1] = {scratch.sums[lane]};
    const Place found = place_in_warp(amounts, [needed](uint64_t) { return needed; });
    needed -= found.before;
    prefix = prefix << kDigitBits | static_cast<uint64_t>(kDigits - 1 - found.at);
  }
  return prefix;
}

// The sum over the block.
__device__ inline uint64_t block_sum(SelectScratch& scratch, uint64_t x) {
  const int lane = static_cast<int>(threadIdx.x % 32), n_warps = static_cast<int>(blockDim.x / 32);
  x = warp_sum(x);
  __syncthreads();
  if (lane == 0) scratch.sums[threadIdx.x / 32] = x;
  __syncthreads();
  return warp_sum(lane < n_warps ? scratch.sums[lane] : 0);
}

// The place among amount_of(0) to amount_of(n - 1), indices being in order, where their running sum
// reaches `needed` >= 1, which it does.
template <class AmountOf>
__device__ Place place_in_order(SelectScratch& scratch, int32_t n, uint64_t needed,
                                AmountOf amount_of) {
  const int lane = static_cast<int>(threadIdx.x % 32), n_warps = static_cast<int>(blockDim.x / 32);
  uint64_t before_all = 0;
  for (int32_t first = 0;; first += static_cast<int32_t>(blockDim.x)) {
    const int32_t at = first + static_cast<int32_t>(threadIdx.x);
    const uint64_t amount = at < n ? amount_of(at) : 0;
    const uint64_t in_warp = warp_prefix_sum(amount);
    __syncthreads();
    if (lane == 31) scratch.sums[threadIdx.x / 32] = in_warp;
    __syncthreads();
    const uint64_t to_warp = warp_prefix_sum(lane < n_warps ? scratch.sums[lane] : 0);
    const int warp = static_cast<int>(threadIdx.x / 32);
    const uint64_t before_warp = __shfl_sync(kAllLanes, to_warp, warp > 0 ? warp - 1 : 0);
    const uint64_t before = before_all + (warp > 0 ? before_warp : 0) + in_warp - amount;
    if (before < needed && needed <= before + amount) scratch.place = {at, before};
    before_all += __shfl_sync(kAllLanes, to_warp, 31);
    if (before_all >= needed || first + static_cast<int32_t>(blockDim.x) >= n) break;
  }
  __syncthreads();
  return scratch.place;
}

}  // namespace prefold::cuda
