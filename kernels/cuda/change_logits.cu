#include "kernels/cuda/change_pool.cuh"
#include "kernels/cuda/sampling.h"
#include "kernels/cuda/vocab.cuh"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 128;

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

__global__ void __launch_bounds__(kThreads) change_logits(SamplingArgs args) {
  const TokenItem item = load16(args.items + blockIdx.x);
  if (item.is_score) return;
  const SamplerSlot& slot = args.slots[item.slot];
  float* logits = args.logits + blockIdx.x * args.stride;
  for (int i = static_cast<int>(threadIdx.x); i < slot.n_changes; i += kThreads) {
    LogitChange& change = change_at(args.pool, item.slot, i);
    float& logit = logits[change.id];
    change.raw = logit;
    logit = changed_logit(slot, change, logit);
  }
}

}  // namespace

cudaError_t launch_change_logits(const SamplingArgs& args, cudaStream_t stream) {
  if (args.n_items == 0) return cudaSuccess;
  change_logits<<<static_cast<unsigned>(args.n_items), kThreads, 0, stream>>>(args);
  return cudaGetLastError();
}

}  // namespace prefold::cuda
