#include "kernels/cuda/draw.cuh"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

// Calls fn(piece, begin, end) for the pieces of the row that are this warp's.
template <class Fn>
__device__ void for_each_piece(int32_t n_vocab, Fn fn) {
  const int32_t n_pieces = n_draw_pieces(n_vocab);
  const int warp = static_cast<int>(threadIdx.x / 32);
  for (int32_t piece = static_cast<int32_t>(blockIdx.y) * kWarps + warp; piece < n_pieces;
       piece += static_cast<int32_t>(gridDim.y) * kWarps) {
    fn(piece, piece * kDrawPiece, min(n_vocab, (piece + 1) * kDrawPiece));
  }
}

// The block's item and its draw. Returns false where there is nothing to draw.
__device__ bool find_draw(const SamplingArgs& args, ItemScratch& scratch, Draw& draw) {
  const int item_idx = static_cast<int>(blockIdx.x);
  load_item(args, item_idx, scratch);
  if (scratch.item.is_score || scratch.slot.temperature < kGreedyBelow) return false;
  const uint64_t best =
      best_of_parts(drawn_parts(args, item_idx, scratch.slot), n_logits_chunks(args.n_vocab));
  if (best == 0) return false;
  draw = draw_of(scratch.slot, logit_of_rank(best), args.n_vocab);
  return true;
}

// blockIdx.x is the item, blockIdx.y the block of its row, here and below.
__global__ void __launch_bounds__(kThreads) weigh_draws(SamplingArgs args) {
  __shared__ ItemScratch scratch;
  __shared__ LaneBins<kDrawBins> bins;
  const int64_t item_idx = blockIdx.x;
  Draw draw;
  if (!find_draw(args, scratch, draw)) return;
  const float* row = args.logits + item_idx * args.stride;
  const int lane = static_cast<int>(threadIdx.x % 32);
  if (draw.cut == Cut::kNone) {
    unsigned long long* masses = args.piece_masses + item_idx * n_draw_pieces(args.n_vocab);
    for_each_piece(args.n_vocab, [&](int32_t piece, int32_t begin, int32_t end) {
      uint64_t sum = 0;
      for_each_logit(row, begin, end, lane, 32,
                     [&](float logit, int32_t) { sum += mass_of(draw.rule, logit); });
      sum = warp_sum(sum);
      if (lane == 0) masses[piece] = sum;
    });
    return;
  }
  bins.clear();
  for_each_piece(args.n_vocab, [&](int32_t, int32_t begin, int32_t end) {
    for_each_logit(row, begin, end, lane, 32, [&](float logit, int32_t) {
      const uint64_t amount = amount_of(draw, logit);
      if (amount != 0) bins.add(draw.bins(logit), amount);
    });
  });
  __syncthreads();
  const auto bin = static_cast<int>(threadIdx.x);
  if (bin >= kDrawBins) return;
  const uint64_t total = bins.total(bin);
  if (total != 0) atomicAdd(&args.draws[item_idx].amounts[bin % 4 * 32 + bin / 4], total);
}

__global__ void __launch_bounds__(kThreads) keep_draws(SamplingArgs args) {
  __shared__ ItemScratch scratch;
  const int64_t item_idx = blockIdx.x;
  Draw draw;
  if (!find_draw(args, scratch, draw) || draw.cut == Cut::kNone) return;
  const float* row = args.logits + item_idx * args.stride;
  const int lane = static_cast<int>(threadIdx.x % 32);
  DrawState& state = args.draws[item_idx];
  uint64_t* candidates = args.candidates + item_idx * kMaxCandidates;
  unsigned long long* masses = args.piece_masses + item_idx * n_draw_pieces(args.n_vocab);
  const DrawCut cut = cut_of(draw, state);
  const auto first_place = static_cast<float>(cut.first_bin);
  const auto end_place = cut.last_bin == kDrawBins - 1 ? __int_as_float(0x7f800000)
                                                       : static_cast<float>(cut.last_bin + 1);
  for_each_piece(args.n_vocab, [&](int32_t piece, int32_t begin, int32_t end) {
    uint64_t sum = 0;
    for_each_logit(row, begin, end, lane, 32, [&](float logit, int32_t id) {
      const float at = draw.bins.place(logit);
      if (at < first_place) sum += mass_of(draw.rule, logit);
      if (!(at >= first_place && at < end_place) || !counts(draw, logit)) return;
      const int32_t place = atomicAdd(&state.n_candidates, 1);
      if (place < kMaxCandidates) candidates[place] = rank_of(logit, id);
    });
    sum = warp_sum(sum);
    if (lane == 0) masses[piece] = sum;
  });
}

dim3 grid_of(const SamplingArgs& args) {
  return dim3(static_cast<unsigned>(args.n_items), static_cast<unsigned>(args.n_row_blocks));
}

}  // namespace

cudaError_t launch_weigh_draws(const SamplingArgs& args, cudaStream_t stream) {
  if (args.n_items == 0) return cudaSuccess;
  const cudaError_t status =
      cudaMemsetAsync(args.draws, 0, static_cast<size_t>(args.n_items) * sizeof(DrawState), stream);
  if (status != cudaSuccess) return status;
  weigh_draws<<<grid_of(args), kThreads, 0, stream>>>(args);
  return cudaGetLastError();
}

cudaError_t launch_keep_draws(const SamplingArgs& args, cudaStream_t stream) {
  if (args.n_items == 0) return cudaSuccess;
  keep_draws<<<grid_of(args), kThreads, 0, stream>>>(args);
  return cudaGetLastError();
}

}  // namespace prefold::cuda
