#include "kernels/cuda/expert_routes.h"

#include <cstdint>

namespace prefold::cuda {
namespace {

constexpr int kThreads = 256;  // of a block that routes
constexpr int kWarps = kThreads / 32;
constexpr int kLaneExperts = kMostExperts / 32;
constexpr unsigned kAllLanes = 0xffffffffu;

constexpr int kGroupThreads = 512;  // of a block that counts or places
constexpr int kGroupWarps = kGroupThreads / 32;
constexpr int kGroupStep = 4 * kGroupThreads;  // entries of `experts` it looks at in one go

// Logits in their order, the larger the better; above 0. Both zeros are one, NaN is lowest.
__device__ uint32_t order_of(float logit) {
  if (logit != logit) return 1;
  const uint32_t bits = __float_as_uint(logit + 0.0f);
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}

// The logit again, but for the sign of zero and NaN's bits.
__device__ float logit_of(uint32_t order) {
  return __uint_as_float(order >> 31 != 0 ? order & 0x7fffffffu : ~order);
}

__device__ uint64_t warp_max(uint64_t x) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    const uint64_t other = __shfl_xor_sync(kAllLanes, x, lanes);
    x = other > x ? other : x;
  }
  return x;
}

template <class T>
__device__ T warp_sum(T x) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) x += __shfl_xor_sync(kAllLanes, x, lanes);
  return x;
}

// By a warp: lane i has the row's experts i, i + 32, ... and, once it is taken, the i-th best.
__device__ void route_row(const RouteExpertsArgs& args, const float* logits, int32_t* experts,
                          float* weights) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  float logit[kLaneExperts];
  uint64_t rank[kLaneExperts];  // 0: no such expert, or taken; a lower expert is better
#pragma unroll
  for (int i = 0; i < kLaneExperts; ++i) {
    const int expert = lane + 32 * i;
    const bool exists = expert < args.n_experts;
    logit[i] = exists ? logits[expert] : 0.0f;
    rank[i] =
        exists ? static_cast<uint64_t>(order_of(logit[i])) << 32 | (kMostExperts - expert) : 0;
  }
  uint64_t taken = 0;  // by this lane
  for (int i = 0; i < args.n_used; ++i) {
    uint64_t best = 0;
#pragma unroll
    for (int k = 0; k < kLaneExperts; ++k) best = rank[k] > best ? rank[k] : best;
    best = warp_max(best);
#pragma unroll
    for (int k = 0; k < kLaneExperts; ++k) rank[k] = rank[k] == best ? 0 : rank[k];
    if (lane == i) taken = best;
  }
  const bool has_taken = lane < args.n_used;
  const int expert = kMostExperts - static_cast<int>(taken & 0xffffffffu);
  const float taken_logit = logit_of(static_cast<uint32_t>(taken >> 32));
  const float max = __shfl_sync(kAllLanes, taken_logit, 0);
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kLaneExperts; ++i) {
    if (lane + 32 * i < args.n_experts) sum += expf(logit[i] - max);
  }
  float weight = expf(taken_logit - max) / warp_sum(sum);

  // In order of expert.
  int place = 0;
  for (int i = 0; i < args.n_used; ++i) place += __shfl_sync(kAllLanes, expert, i) < expert ? 1 : 0;
  if (args.normalise) {
    float taken_sum = 0.0f;
    for (int i = 0; i < args.n_used; ++i) {
      const unsigned which = __ballot_sync(kAllLanes, has_taken && place == i);
      taken_sum += __shfl_sync(kAllLanes, weight, __ffs(static_cast<int>(which)) - 1);
    }
    weight /= taken_sum;
  }
  if (!has_taken) return;
  experts[place] = expert;
  weights[place] = weight;
}

// What the rows of a block take is written together, as whole sectors.
__global__ void __launch_bounds__(kThreads)
    route_experts(const __grid_constant__ RouteExpertsArgs args) {
  __shared__ int32_t experts[kWarps * kMostUsedExperts];
  __shared__ float weights[kWarps * kMostUsedExperts];
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kWarps;
  const int n_rows = static_cast<int>(min(int64_t{kWarps}, args.n_rows - first_row));
  const int warp = static_cast<int>(threadIdx.x / 32);
  if (warp < n_rows) {
    const int first = warp * args.n_used;
    route_row(args, args.logits + (first_row + warp) * args.stride, experts + first,
              weights + first);
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < n_rows * args.n_used; i += kThreads) {
    args.experts[first_row * args.n_used + i] = experts[i];
    args.weights[first_row * args.n_used + i] = weights[i];
  }
}

// Bit k: the thread's k-th of the four entries from `first` on is of this expert.
__device__ unsigned entries_of(const int32_t* experts, int n_entries, int first, int expert) {
  if (first >= n_entries) return 0;
  if (first + 4 <= n_entries) {
    const int4 four = *reinterpret_cast<const int4*>(experts + first);
    return (four.x == expert ? 1u : 0u) | (four.y == expert ? 2u : 0u) |
           (four.z == expert ? 4u : 0u) | (four.w == expert ? 8u : 0u);
  }
  unsigned bits = 0;
  for (int k = 0; first + k < n_entries; ++k) bits |= experts[first + k] == expert ? 1u << k : 0u;
  return bits;
}

// The sum over the block's threads, in all of them; `sums` has an element for each warp.
__device__ int block_sum(int x, int* sums) {
  x = warp_sum(x);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = x;
  __syncthreads();
  int sum = 0;
  for (int warp = 0; warp < kGroupWarps; ++warp) sum += sums[warp];
  __syncthreads();
  return sum;
}

__global__ void __launch_bounds__(kGroupThreads)
    count_rows(const __grid_constant__ GroupRowsArgs args) {
  __shared__ int sums[kGroupWarps];
  const int expert = static_cast<int>(blockIdx.x), n_entries = args.n_rows * args.n_used;
  int count = 0;
  for (int first = 4 * static_cast<int>(threadIdx.x); first < n_entries; first += kGroupStep) {
    count += __popc(entries_of(args.experts, n_entries, first, expert));
  }
  count = block_sum(count, sums);
  if (threadIdx.x == 0) args.counts[expert] = count;
}

__global__ void __launch_bounds__(kGroupThreads)
    group_rows(const __grid_constant__ GroupRowsArgs args) {
  __shared__ int sums[kGroupWarps];
  __shared__ int own_count;
  __shared__ int32_t found[kGroupStep];  // this expert's entries of a step of the walk, in order
  static_assert(kGroupThreads >= kMostExperts);
  const int expert = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  const int tile_rows = args.tile_rows;
  const int count_of_thread = thread < args.n_experts ? args.counts[thread] : 0;
  if (thread == expert) own_count = count_of_thread;
  const int count_before = thread < expert ? count_of_thread : 0;
  const int first_place = block_sum(count_before, sums);
  const int count = own_count;
  const int first_tile = block_sum((count_before + tile_rows - 1) / tile_rows, sums);
  const int n_tiles = (count + tile_rows - 1) / tile_rows;
  if (thread == 0 && expert == args.n_experts - 1) *args.n_tiles = first_tile + n_tiles;
  for (int i = thread; i < n_tiles; i += kGroupThreads) {
    const int done = i * tile_rows;
    reinterpret_cast<int4*>(args.tiles)[first_tile + i] =
        make_int4(expert, first_place + done, min(tile_rows, count - done), 0);
  }
  if (count == 0) return;

  const int n_entries = args.n_rows * args.n_used, lane = thread % 32, warp = thread / 32;
  int place = first_place;
  for (int first = 0; first < n_entries; first += kGroupStep) {
    const int mine = first + 4 * thread;
    const unsigned bits = entries_of(args.experts, n_entries, mine, expert);
    int before = __popc(bits);  // entries of the warp's lanes up to this one
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
      const int other = __shfl_up_sync(kAllLanes, before, distance);
      if (lane >= distance) before += other;
    }
    if (lane == 31) sums[warp] = before;
    __syncthreads();
    int next = before - __popc(bits), n_found = 0;
    for (int i = 0; i < kGroupWarps; ++i) {
      if (i < warp) next += sums[i];
      n_found += sums[i];
    }
    for (int k = 0; k < 4; ++k) {
      if ((bits >> k & 1) != 0) found[next++] = mine + k;
    }
    __syncthreads();
    for (int i = thread; i < n_found; i += kGroupThreads) {
      args.entries[place + i] = found[i];
      args.rows[place + i] = found[i] / args.n_used;
    }
    place += n_found;
  }
}

}  // namespace

cudaError_t launch_route_experts(const RouteExpertsArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  if (args.n_experts > kMostExperts || args.n_used > kMostUsedExperts) return cudaErrorInvalidValue;
  route_experts<<<static_cast<unsigned>((args.n_rows + kWarps - 1) / kWarps), kThreads, 0,
                  stream>>>(args);
  return cudaGetLastError();
}

cudaError_t launch_group_rows(const GroupRowsArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  if (args.n_experts > kMostExperts) return cudaErrorInvalidValue;
  const auto n_blocks = static_cast<unsigned>(args.n_experts);
  count_rows<<<n_blocks, kGroupThreads, 0, stream>>>(args);
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) return status;
  group_rows<<<n_blocks, kGroupThreads, 0, stream>>>(args);
  return cudaGetLastError();
}

}  // namespace prefold::cuda
