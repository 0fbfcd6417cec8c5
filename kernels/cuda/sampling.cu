#include <cstddef>

#include "kernels/cuda/philox.cuh"
#include "kernels/cuda/sampling.h"
#include "kernels/cuda/select.cuh"

namespace prefold::cuda {
namespace {

constexpr int kThreads = kSelectThreads;
constexpr float kGreedyBelow = 1e-5f;  // as the CPU's sampler
// Distances from the best logit, in units of the temperature, from which on a mass is 0: e^-28 is
// less than 2^-40.
constexpr float kMassRange = 28.0f;
constexpr float kTopRange = 64.0f;  // what most lists of best tokens lie within

struct Shared {
  SelectScratch select;
  SamplerSlot slot;  // as it was before this item
  uint64_t warp_ranks[32];
  int32_t lowest_id;
  int32_t n_found;  // entries of the token that was chosen: 0 or 1
  float raw;        // its logit before the change
};

__device__ void load_slot(const SamplerSlot& slot, Shared& shared) {
  constexpr int kWords = offsetof(SamplerSlot, counts_outputs) / sizeof(uint32_t) + 1;  // all
  if (threadIdx.x < kWords) {
    reinterpret_cast<uint32_t*>(&shared.slot)[threadIdx.x] =
        reinterpret_cast<const uint32_t*>(&slot)[threadIdx.x];
  }
  __syncthreads();
}

// ---- What the parts say ----

struct Summary {
  uint64_t best;   // rank; 0 if no logit is finite
  double log_sum;  // ln(sum of exp(logit - best logit)), where wanted
};

// By each warp for itself.
__device__ Summary merge_parts(const LogitsPart* parts, int n_parts, bool wants_logprob) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  uint64_t best = 0;
  for (int i = lane; i < n_parts; i += 32) {
    const LogitsPart part = load16(parts + i);
    if (part.logit == lowest_logit()) continue;
    const uint64_t rank = rank_of(part.logit, part.id);
    best = rank > best ? rank : best;
  }
  Summary summary{warp_max(best), 0.0};
  if (!wants_logprob || summary.best == 0) return summary;
  double sum = 0.0;
  for (int i = lane; i < n_parts; i += 32) {
    const LogitsPart part = load16(parts + i);
    if (part.logit == lowest_logit()) continue;
    sum += part.sum * exp(static_cast<double>(part.logit) - logit_of_rank(summary.best));
  }
  summary.log_sum = log(warp_sum(sum));
  return summary;
}

// Natural logarithm of the raw probability.
__device__ float logprob_of(const Summary& raw, float logit) {
  if (!isfinite(logit)) return lowest_logit();
  const double distance = static_cast<double>(logit) - logit_of_rank(raw.best);
  return static_cast<float>(distance - raw.log_sum);
}

__device__ void cut_after(uint64_t last_rank, Weights& rule) {
  if (last_rank == 0) return;
  rule.min_logit = logit_of_rank(last_rank);
  rule.tie_end = id_of_rank(last_rank) + 1;
}

__device__ void write_top(SelectScratch& scratch, const Row& row, const Summary& raw, int n_top,
                          TokenResult* out) {
  const int thread = static_cast<int>(threadIdx.x);
  int32_t n_found = 0;
  if (raw.best != 0) {
    Weights rule = weights_of(logit_of_rank(raw.best), 1.0f, 0.0f);
    cut_after(last_needed(
                  scratch, row, DistanceBins(rule.max_logit, kTopRange),
                  [](float logit, int32_t) { return isfinite(logit) ? 1 : 0; },
                  [n_top](uint64_t) { return n_top; }),
              rule);
    n_found = collect(scratch, row, [&](float logit, int32_t id) {
      return isfinite(logit) && is_kept(rule, logit, id);
    });
  }
  if (thread < n_found) {
    const uint64_t rank = scratch.candidates[thread];
    int place = 0;
    for (int i = 0; i < n_found; ++i) place += scratch.candidates[i] > rank ? 1 : 0;
    out[place] = {id_of_rank(rank), logprob_of(raw, logit_of_rank(rank))};
  } else if (thread < n_top) {
    out[thread] = {kNoToken, lowest_logit()};
  }
  __syncthreads();  // scratch is free
}

// ---- Changes of logits ----

__device__ LogitChange& change_at(const ChangePool& pool, int32_t slot, int32_t i) {
  const int64_t page =
      pool.pages[static_cast<int64_t>(slot) * pool.pages_per_slot + i / kChangePage];
  return pool.changes[page * kChangePage + i % kChangePage];
}

// Kept finite: only a mask makes a token impossible.
__device__ float clamped(float x) { return fminf(fmaxf(x, -3.402823466e38f), 3.402823466e38f); }

__device__ float changed_logit(const SamplerSlot& slot, const LogitChange& change, float logit) {
  if ((change.flags & LogitChange::kMasked) != 0 && slot.n_sampled < slot.min_tokens) {
    return lowest_logit();
  }
  if (!isfinite(logit)) return logit;
  float x = clamped(__fadd_rn(logit, change.bias));
  if ((change.flags & LogitChange::kPenalized) == 0) return x;
  x = x > 0.0f ? __fdiv_rn(x, slot.repetition_penalty) : __fmul_rn(x, slot.repetition_penalty);
  const uint32_t n_output = change.flags & LogitChange::kCountMask;
  x = __fsub_rn(x, __fmul_rn(slot.frequency_penalty, static_cast<float>(n_output)));
  if (n_output > 0) x = __fsub_rn(x, slot.presence_penalty);
  return clamped(x);
}

__device__ void change_logits(const ChangePool& pool, const SamplerSlot& slot, int32_t slot_idx,
                              float* logits) {
  for (int i = static_cast<int>(threadIdx.x); i < slot.n_changes; i += kThreads) {
    LogitChange& change = change_at(pool, slot_idx, i);
    float& logit = logits[change.id];
    change.raw = logit;
    logit = changed_logit(slot, change, logit);
  }
  __syncthreads();
}

// The rank of the best token, 0 if no logit is finite.
__device__ uint64_t best_of_row(Shared& shared, const Row& row) {
  float best = lowest_logit();
  int32_t best_id = 0;
  for_each_logit(row, [&](float logit, int32_t id) {
    if (logit > best && is_below_infinity(logit)) {
      best = logit;
      best_id = id;
    }
  });
  const uint64_t rank = warp_max(best == lowest_logit() ? 0 : rank_of(best, best_id));
  if (threadIdx.x % 32 == 0) shared.warp_ranks[threadIdx.x / 32] = rank;
  __syncthreads();
  return warp_max(shared.warp_ranks[threadIdx.x % 32]);
}

// ---- The choice of a token ----

__device__ bool is_masked(const ChangePool& pool, const SamplerSlot& slot, int32_t slot_idx,
                          int32_t id) {
  for (int32_t i = 0; i < slot.n_changes; ++i) {
    const LogitChange& change = change_at(pool, slot_idx, i);
    if (change.id == id) return (change.flags & LogitChange::kMasked) != 0;
  }
  return false;
}

// Where no logit is finite: the lowest id that is not masked, 0 if all are.
__device__ int32_t lowest_id(Shared& shared, const ChangePool& pool, const SamplerSlot& slot,
                             int32_t slot_idx, int32_t n_vocab) {
  if (slot.n_sampled >= slot.min_tokens) return 0;
  if (threadIdx.x == 0) {
    int32_t id = 0;
    while (id < n_vocab && is_masked(pool, slot, slot_idx, id)) ++id;
    shared.lowest_id = id < n_vocab ? id : 0;
  }
  __syncthreads();
  return shared.lowest_id;
}

// Calls fn(mass), mass(logit, id): the weight of a token that the rule keeps, 0 of another.
template <class Fn>
__device__ auto with_masses(const Weights& rule, Fn fn) {
  if (!is_cut(rule)) return fn([&](float logit, int32_t) { return mass_of(rule, logit); });
  return fn([&](float logit, int32_t id) {
    return is_kept(rule, logit, id) ? mass_of(rule, logit) : uint64_t{0};
  });
}

__device__ int32_t draw(SelectScratch& scratch, const Row& row, const SamplerSlot& slot,
                        float max_logit) {
  Weights rule = weights_of(max_logit, slot.temperature, fminf(slot.min_p, 1.0f));
  const DistanceBins bins(max_logit, kMassRange * slot.temperature);
  if (slot.top_k > 0 && slot.top_k < row.n_vocab) {
    // Tokens without mass need not be cut off, so they need not be counted.
    const float lowest = max_logit - kMassRange * slot.temperature;
    const auto count = [lowest](float logit, int32_t) {
      return isfinite(logit) && logit >= lowest ? 1 : 0;
    };
    const auto needed_of = [&](uint64_t) { return slot.top_k; };
    cut_after(last_needed(scratch, row, bins, count, needed_of), rule);
  }
  if (slot.top_p < 1.0f) {
    const auto needed_of = [&](uint64_t total) {
      const double share = static_cast<double>(slot.top_p) * static_cast<double>(total);
      const uint64_t needed = __double2ull_ru(share);
      return min(max(needed, uint64_t{1}), total);
    };
    const uint64_t last = with_masses(
        rule, [&](auto mass) { return last_needed(scratch, row, bins, mass, needed_of); });
    cut_after(last, rule);
  }
  const double u = uniform_at(slot.key, static_cast<uint32_t>(slot.n_sampled));
  const auto needed_of = [u](uint64_t total) {
    const uint64_t below = __double2ull_rz(u * static_cast<double>(total));
    return min(below + 1, total);
  };
  return with_masses(rule, [&](auto mass) { return id_at_sum(scratch, row, mass, needed_of); });
}

// ---- The end of an item ----

// Counts the token as sampled and tells its logit before changes, which thread 0 gets.
__device__ float take_token(Shared& shared, const SamplingArgs& args, const SamplerSlot& slot,
                            int32_t slot_idx, int32_t id, const float* logits) {
  if (threadIdx.x == 0) shared.n_found = 0;
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < slot.n_changes; i += kThreads) {
    LogitChange& change = change_at(args.pool, slot_idx, i);
    if (change.id != id) continue;
    shared.n_found = 1;
    shared.raw = change.raw;
    if (slot.counts_outputs != 0) change.flags = (change.flags | LogitChange::kPenalized) + 1;
  }
  __syncthreads();
  if (threadIdx.x != 0) return 0.0f;

  const bool is_new = shared.n_found == 0;
  SamplerSlot& state = args.slots[slot_idx];
  state.n_sampled = slot.n_sampled + 1;
  args.last_tokens[slot_idx] = id;
  if (slot.counts_outputs != 0 && is_new && slot.n_changes < slot.max_changes) {
    change_at(args.pool, slot_idx, slot.n_changes) = {id, LogitChange::kPenalized | 1u, 0.0f, 0.0f};
    state.n_changes = slot.n_changes + 1;
  }
  return is_new ? logits[id] : shared.raw;
}

__global__ void __launch_bounds__(kThreads) sample_items(SamplingArgs args, int n_parts) {
  __shared__ Shared shared;
  const int item_idx = static_cast<int>(blockIdx.x);
  const TokenItem item = load16(args.items + item_idx);
  float* logits = args.logits + item_idx * args.stride;
  const Row row{logits, args.n_vocab};
  const Summary raw = merge_parts(args.parts + static_cast<int64_t>(item_idx) * n_parts, n_parts,
                                  item.wants_logprob);
  if (item.n_top > 0) {
    write_top(shared.select, row, raw, item.n_top, args.top_results + item.first_top);
  }
  TokenResult& result = args.item_results[item_idx];
  if (item.is_score) {
    if (threadIdx.x == 0) result = {item.target, logprob_of(raw, logits[item.target])};
    return;
  }

  load_slot(args.slots[item.slot], shared);
  const SamplerSlot& slot = shared.slot;
  uint64_t best = raw.best;
  if (slot.n_changes > 0) {
    change_logits(args.pool, slot, item.slot, logits);
    best = best_of_row(shared, row);
  }
  int32_t id = 0;
  if (best == 0) {
    id = lowest_id(shared, args.pool, slot, item.slot, args.n_vocab);
  } else if (slot.temperature < kGreedyBelow) {
    id = id_of_rank(best);
  } else {
    id = draw(shared.select, row, slot, logit_of_rank(best));
  }
  const float logit = take_token(shared, args, slot, item.slot, id, logits);
  if (threadIdx.x == 0) result = {id, item.wants_logprob ? logprob_of(raw, logit) : 0.0f};
}

}  // namespace

cudaError_t launch_sampling(const SamplingArgs& args, cudaStream_t stream) {
  if (args.n_items == 0) return cudaSuccess;
  sample_items<<<static_cast<unsigned>(args.n_items), kThreads, 0, stream>>>(
      args, n_logits_chunks(args.n_vocab));
  return cudaGetLastError();
}

}  // namespace prefold::cuda
