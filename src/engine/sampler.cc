#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "engine/natural_log.h"
#include "engine/philox.h"

namespace prefold {
namespace {

constexpr float kGreedyBelow = 1e-5f;  // as vLLM
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();

bool has_penalty(const SamplingParams& params) {
  return params.repetition_penalty != 1.0f || params.frequency_penalty != 0.0f ||
         params.presence_penalty != 0.0f;
}

void mask_stop_ids(const SamplerState& state, std::span<float> logits) {
  if (state.n_sampled >= state.params.min_tokens) return;
  for (const int32_t id : state.stop_ids) {
    if (id >= 0 && id < std::ssize(logits)) logits[id] = -kInfinity;
  }
}

// Replaces a finite logit by fn of it, kept finite: only a mask makes a token impossible.
template <typename Fn>
void change_logit(std::span<float> logits, int32_t id, Fn fn) {
  if (id < 0 || id >= std::ssize(logits) || !std::isfinite(logits[id])) return;
  logits[id] = std::clamp(fn(logits[id]), -kLargest, kLargest);
}

void apply_penalties(const SamplerState& state, std::span<float> logits) {
  const SamplingParams& params = state.params;
  for (const SamplerState::Count& count : state.counts) {
    change_logit(logits, count.id, [&](float x) {
      x = x > 0.0f ? x / params.repetition_penalty : x * params.repetition_penalty;
      x -= params.frequency_penalty * static_cast<float>(count.n_output);
      return count.n_output > 0 ? x - params.presence_penalty : x;
    });
  }
}

int32_t choose(const VocabKernels& kernels, std::span<float> logits, const SamplerState& state,
               SamplerScratch& scratch) {
  const SamplingParams& params = state.params;
  const int32_t n = static_cast<int32_t>(logits.size());
  const BestLogit best = kernels.argmax(logits.data(), n);
  if (best.logit == -kInfinity) {
    std::fill(logits.begin(), logits.end(), 0.0f);
    mask_stop_ids(state, logits);
    return kernels.argmax(logits.data(), n).id;
  }
  if (params.temperature < kGreedyBelow) return best.id;

  VocabWeights rule;
  rule.max_logit = best.logit;
  rule.temperature = params.temperature;
  rule.min_weight = std::min(params.min_p, 1.0f);  // the best token's weight is 1
  truncate(kernels, logits, params.top_k, params.top_p, rule, scratch);
  const double u = uniform_at(state.key, static_cast<uint32_t>(state.n_sampled));
  return draw(kernels, logits, rule, u, scratch);
}

// Sorts by id and adds up what is counted of the same token.
void merge_counts(std::vector<SamplerState::Count>& counts) {
  std::sort(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  size_t n_merged = 0;
  for (const SamplerState::Count& count : counts) {
    if (n_merged > 0 && counts[n_merged - 1].id == count.id) {
      counts[n_merged - 1].n_output += count.n_output;
      counts[n_merged - 1].in_prompt |= count.in_prompt;
    } else {
      counts[n_merged++] = count;
    }
  }
  counts.resize(n_merged);
}

void count_output(SamplerState& state, int32_t id) {
  const auto place =
      std::lower_bound(state.counts.begin(), state.counts.end(), id,
                       [](const SamplerState::Count& count, int32_t x) { return count.id < x; });
  if (place != state.counts.end() && place->id == id) {
    ++place->n_output;
  } else {
    state.counts.insert(place, {id, 1, false});
  }
}

}  // namespace

SamplerState start_sampler(const SlotStart& start) {
  SamplerState state;
  state.params = *start.params;
  state.stop_ids.assign(start.stop_ids.begin(), start.stop_ids.end());
  state.key = start.key;
  if (start.params->repetition_penalty != 1.0f) {
    for (const int32_t id : start.prompt) state.counts.push_back({id, 0, true});
    merge_counts(state.counts);
  }
  return state;
}

void take_token(SamplerState& state, int32_t id) {
  if (has_penalty(state.params)) count_output(state, id);
  state.last_token = id;
  ++state.n_sampled;
}

SampledToken sample(const Device& device, std::span<float> logits, SamplerState& state,
                    SamplerScratch& scratch) {
  CHECK(!logits.empty());
  const SamplingParams& params = state.params;
  if (params.logprobs) scratch.raw_logits.assign(logits.begin(), logits.end());

  mask_stop_ids(state, logits);
  for (const auto& [id, bias] : params.logit_bias) {
    change_logit(logits, id, [b = bias](float x) { return x + b; });
  }
  apply_penalties(state, logits);
  const int32_t id = choose(*device.kernels->vocab, logits, state, scratch);

  take_token(state, id);
  if (params.logprobs) return score(device, scratch.raw_logits, id, *params.logprobs, scratch);
  return {id, 0.0f, {}};
}

SampledToken score(const Device& device, std::span<const float> logits, int32_t target,
                   int32_t n_top, SamplerScratch& scratch) {
  CHECK(target >= 0 && target < std::ssize(logits));
  const VocabKernels& kernels = *device.kernels->vocab;
  SampledToken token{target, -kInfinity, {}};
  VocabWeights rule;
  rule.max_logit = kernels.argmax(logits.data(), static_cast<int32_t>(logits.size())).logit;
  if (rule.max_logit == -kInfinity) return token;

  const double log_sum = natural_log(total_weight(kernels, logits, rule, scratch));
  const auto logprob = [&](float logit) {
    return static_cast<float>(static_cast<double>(logit) - rule.max_logit - log_sum);
  };
  if (std::isfinite(logits[target])) token.logprob = logprob(logits[target]);
  if (n_top <= 0) return token;
  const std::span<Candidate> best = find_best(kernels, logits, n_top, scratch);
  std::sort(best.begin(), best.end(), is_better);
  token.top.reserve(best.size());
  for (const Candidate& c : best) token.top.emplace_back(c.id, logprob(c.logit));
  return token;
}

}  // namespace prefold
