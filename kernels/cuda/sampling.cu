#include "kernels/cuda/change_pool.cuh"
#include "kernels/cuda/draw.cuh"
#include "kernels/cuda/philox.cuh"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 256;

struct Shared {
  ItemScratch item;
  SelectScratch select;
  int32_t lowest_id;
  int32_t n_found;  // entries of the token that was chosen: 0 or 1
  float raw;        // its logit before the change
};

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

// A draw's row and what the walks found in it.
struct DrawnRow {
  const float* logits;
  int32_t n_vocab;
  int32_t n_candidates;
  DrawCut cut;
};

__device__ void cut_after(uint64_t last_rank, Weights& rule) {
  rule.min_logit = logit_of_rank(last_rank);
  rule.tie_end = id_of_rank(last_rank) + 1;
}

// Calls fn(logit, id) for the candidates, from the row where there are too many.
template <class Fn>
__device__ void for_each_candidate(const SelectScratch& scratch, const Draw& draw,
                                   const DrawnRow& row, Fn fn) {
  const int thread = static_cast<int>(threadIdx.x);
  if (row.n_candidates <= kMaxCandidates) {
    for (int i = thread; i < row.n_candidates; i += kThreads) {
      const uint64_t rank = scratch.candidates[i];
      fn(logit_of_rank(rank), id_of_rank(rank));
    }
    return;
  }
  for_each_logit(row.logits, 0, row.n_vocab, thread, kThreads, [&](float logit, int32_t id) {
    if (!counts(draw, logit)) return;
    const int32_t bin = draw.bins(logit);
    if (bin >= row.cut.first_bin && bin <= row.cut.last_bin) fn(logit, id);
  });
}

// The mass of a token that the rule keeps, 0 of another.
__device__ uint64_t kept_mass(const Weights& rule, float logit, int32_t id) {
  return is_kept(rule, logit, id) ? mass_of(rule, logit) : 0;
}

// The draw's rule with its cuts.
__device__ Weights cut_rule(SelectScratch& scratch, const Draw& draw, const DrawnRow& row) {
  Weights rule = draw.rule;
  const auto select_mass = [&](uint64_t needed) {
    return radix_select(scratch, needed, [&](auto fn) {
      for_each_candidate(scratch, draw, row, [&](float logit, int32_t id) {
        fn(rank_of(logit, id), kept_mass(rule, logit, id));
      });
    });
  };
  if (draw.cut == Cut::kTopP) {
    cut_after(select_mass(row.cut.needed), rule);
    return rule;
  }
  if (row.cut.needed > 0) {
    const uint64_t last = radix_select(scratch, row.cut.needed, [&](auto fn) {
      for_each_candidate(scratch, draw, row,
                         [&](float logit, int32_t id) { fn(rank_of(logit, id), 1); });
    });
    cut_after(last, rule);
  }
  if (draw.top_p >= 1.0f) return rule;
  uint64_t sum = 0;  // of all that top_k keeps: these are candidates
  for_each_candidate(scratch, draw, row,
                     [&](float logit, int32_t id) { sum += kept_mass(rule, logit, id); });
  cut_after(select_mass(share_of(draw.top_p, block_sum(scratch, sum))), rule);
  return rule;
}

// Takes the item's draw to its end: cuts among the candidates, then the place of u in the masses of
// the pieces, and in the piece that it falls into.
__device__ int32_t finish_draw(SelectScratch& scratch, const SamplingArgs& args, int64_t item_idx,
                               const SamplerSlot& slot, float max_logit) {
  const int thread = static_cast<int>(threadIdx.x);
  const Draw draw = draw_of(slot, max_logit, args.n_vocab);
  const int32_t n_pieces = n_draw_pieces(args.n_vocab);
  unsigned long long* masses = args.piece_masses + item_idx * n_pieces;
  DrawnRow row{args.logits + item_idx * args.stride, args.n_vocab, 0, {}};
  Weights rule = draw.rule;
  if (draw.cut != Cut::kNone) {
    row.cut = cut_of(draw, args.draws[item_idx]);
    if (thread == 0) scratch.n_candidates = args.draws[item_idx].n_candidates;
    __syncthreads();
    row.n_candidates = scratch.n_candidates;
    const uint64_t* candidates = args.candidates + item_idx * kMaxCandidates;
    for (int i = thread; i < min(row.n_candidates, kMaxCandidates); i += kThreads) {
      scratch.candidates[i] = candidates[i];
    }
    __syncthreads();
    rule = cut_rule(scratch, draw, row);
    for_each_candidate(scratch, draw, row, [&](float logit, int32_t id) {
      const uint64_t mass = kept_mass(rule, logit, id);
      if (mass != 0) atomicAdd(masses + id / kDrawPiece, mass);
    });
    __syncthreads();
  }
  uint64_t sum = 0;
  for (int32_t i = thread; i < n_pieces; i += kThreads) sum += masses[i];
  const uint64_t total = block_sum(scratch, sum);
  const double u = uniform_at(slot.key, static_cast<uint32_t>(slot.n_sampled));
  const uint64_t below = __double2ull_rz(u * static_cast<double>(total));
  const uint64_t needed = min(below + 1, total);
  const Place piece =
      place_in_order(scratch, n_pieces, needed, [&](int32_t i) { return masses[i]; });
  const int32_t begin = piece.at * kDrawPiece, n_ids = min(kDrawPiece, args.n_vocab - begin);
  const bool is_cut_off = is_cut(rule);
  const Place id = place_in_order(scratch, n_ids, needed - piece.before, [&](int32_t i) {
    const float logit = row.logits[begin + i];
    return is_cut_off ? kept_mass(rule, logit, begin + i) : mass_of(rule, logit);
  });
  return begin + id.at;
}

// ---- The end of an item ----

// Counts the token as sampled and tells its logit before changes, which thread 0 gets where it is
// wanted.
__device__ float take_token(Shared& shared, const SamplingArgs& args, const SamplerSlot& slot,
                            int32_t slot_idx, int32_t id, const float* logits, bool wants_logit) {
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
  if (!wants_logit) return 0.0f;
  return is_new ? logits[id] : shared.raw;
}

__global__ void __launch_bounds__(kThreads, 3) sample_items(SamplingArgs args) {
  __shared__ Shared shared;
  const int item_idx = static_cast<int>(blockIdx.x);
  load_item(args, item_idx, shared.item);
  const TokenItem& item = shared.item.item;
  const SamplerSlot& slot = shared.item.slot;
  const float* logits = args.logits + item_idx * args.stride;
  const int n_parts = n_logits_chunks(args.n_vocab);
  const Summary raw = merge_parts(args.parts + static_cast<int64_t>(item_idx) * n_parts, n_parts,
                                  item.wants_logprob);
  TokenResult& result = args.item_results[item_idx];
  if (item.is_score) {
    if (threadIdx.x == 0) result = {item.target, logprob_of(raw, logits[item.target])};
    return;
  }
  const uint64_t best =
      slot.n_changes == 0 ? raw.best : best_of_parts(drawn_parts(args, item_idx, slot), n_parts);
  int32_t id = 0;
  if (best == 0) {
    id = lowest_id(shared, args.pool, slot, item.slot, args.n_vocab);
  } else if (slot.temperature < kGreedyBelow) {
    id = id_of_rank(best);
  } else {
    id = finish_draw(shared.select, args, item_idx, slot, logit_of_rank(best));
  }
  const float logit = take_token(shared, args, slot, item.slot, id, logits, item.wants_logprob);
  if (threadIdx.x == 0) result = {id, item.wants_logprob ? logprob_of(raw, logit) : 0.0f};
}

}  // namespace

cudaError_t launch_sampling(const SamplingArgs& args, cudaStream_t stream) {
  if (args.n_items == 0) return cudaSuccess;
  sample_items<<<static_cast<unsigned>(args.n_items), kThreads, 0, stream>>>(args);
  return cudaGetLastError();
}

}  // namespace prefold::cuda
