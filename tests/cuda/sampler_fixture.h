// Sampling on the GPU beside the CPU's: requests that run for some steps on both.
#pragma once

#include <cuda_runtime_api.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "cuda/gpu_fixture.h"
#include "cuda/sampler.h"
#include "engine/sampling_fixture.h"

namespace prefold::cuda {

using Logits = std::vector<std::vector<float>>;  // one row an item

// A sampler, its arenas and rows of logits, from the limits of a few requests.
class SamplerOnGpu {
 public:
  SamplerOnGpu(SamplerLimits limits, std::span<const SlotDemand> demands)
      : limits_(with_demands(limits, demands)),
        stride_((limits.n_vocab + 7) / 8 * 8),
        device_(sampler_device_bytes(limits_)),
        pinned_(sampler_pinned_bytes(limits_)),
        sampler_(limits_, device_, pinned_),
        logits_(static_cast<size_t>(limits.max_batch) * stride_) {
    CHECK(device_.used() == device_.capacity());
    CHECK(pinned_.used() == pinned_.capacity());
  }

  // Everything up to the copy of the results. logits: one row an item.
  void submit(const StepPlan& plan, const Logits& logits) {
    sampler_.begin_step(plan, {}, nullptr);
    const int32_t n_items = sampler_.n_items();
    REQUIRE(n_items == std::ssize(logits));
    for (int32_t first = 0; first < n_items; first += limits_.max_batch) {
      const int32_t n_rows = std::min(limits_.max_batch, n_items - first);
      for (int32_t i = 0; i < n_rows; ++i) {
        const std::vector<float>& row = logits[first + i];
        check_cuda("upload", cudaMemcpy(logits_.data() + i * stride_, row.data(),
                                        row.size() * sizeof(float), cudaMemcpyHostToDevice));
      }
      sampler_.enqueue(first, n_rows, logits_.data(), stride_, nullptr);
    }
    sampler_.finish_step(nullptr);
  }

  StepResult wait() {
    check_cuda("sampling", cudaDeviceSynchronize());
    StepResult result;
    sampler_.take_results(result);
    return result;
  }

  Sampler& sampler() { return sampler_; }

 private:
  SamplerLimits limits_;
  int64_t stride_;
  DeviceArena device_;
  PinnedArena pinned_;
  Sampler sampler_;
  DeviceBuffer<float> logits_;
};

inline SamplerLimits limits_of(int32_t n_vocab, int32_t max_slots, int32_t max_batch) {
  SamplerLimits limits;
  limits.n_vocab = n_vocab;
  limits.max_slots = max_slots;
  limits.max_items = 2 * max_slots;
  limits.max_batch = max_batch;
  limits.max_top = kMaxTop;
  return limits;
}

constexpr int32_t kMaxTokens = 64;  // that a request of the tests samples

inline std::vector<SlotDemand> demands_of(const std::vector<Start>& starts) {
  std::vector<SlotDemand> demands;
  for (const Start& start : starts) {
    demands.push_back({&start.params, static_cast<int32_t>(start.stop_ids.size()),
                       static_cast<int32_t>(start.prompt.size()), kMaxTokens});
  }
  return demands;
}

// A plan in which request i samples in slot i, from row i, and starts there if `starts`.
inline StepPlan plan_of(const std::vector<Start>& requests, bool starts) {
  StepPlan plan;
  for (int32_t i = 0; i < std::ssize(requests); ++i) {
    const Start& start = requests[i];
    if (starts) {
      plan.slot_starts.push_back(
          {i, &start.params, start.stop_ids, start.prompt, start.key, kMaxTokens});
    }
    plan.samples.push_back({i, i});
  }
  return plan;
}

// Whether a token is the reference's with u and top_p moved by what rounding may make of them.
inline bool is_at_border(const std::vector<float>& logits, const Start& start, int32_t id) {
  constexpr double kRounding = 2e-6;
  const double u = uniform_at(start.key, static_cast<uint32_t>(start.sampled.size()));
  for (const double change : {-kRounding, 0.0, kRounding}) {
    Start moved = start;
    moved.params.top_p = static_cast<float>(start.params.top_p * (1.0 + change));
    const int32_t lowest = reference_token(logits, moved, u - kRounding);
    const int32_t highest = reference_token(logits, moved, u + kRounding);
    if (lowest <= id && id <= highest) return true;
  }
  return false;
}

}  // namespace prefold::cuda
