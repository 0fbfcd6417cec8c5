// Random requests and logits, and what the reference makes of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <span>
#include <vector>

#include "engine/logprobs.h"
#include "engine/philox.h"
#include "engine/sampler.h"
#include "kernels/reference/sampling.h"

namespace prefold {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// A request and the tokens around it.
struct Start {
  SamplingParams params;
  std::vector<int32_t> stop_ids;
  uint64_t key = 0;
  std::vector<int32_t> prompt;
  std::vector<int32_t> sampled;  // so far
};

inline SamplerState start_sampler(const Start& start) {
  SamplerState state =
      start_sampler(SlotStart{0, &start.params, start.stop_ids, start.prompt, start.key});
  for (int32_t id : start.sampled) take_token(state, id);
  return state;
}

// u: the uniform number of the draw.
inline int32_t reference_token(const std::vector<float>& logits, const Start& start, double u) {
  const SamplingParams& params = start.params;
  reference::SamplingCase c;
  c.temperature = params.temperature;
  c.top_k = params.top_k;
  c.top_p = params.top_p;
  c.min_p = params.min_p;
  c.repetition_penalty = params.repetition_penalty;
  c.frequency_penalty = params.frequency_penalty;
  c.presence_penalty = params.presence_penalty;
  c.logit_bias = params.logit_bias;
  if (std::ssize(start.sampled) < params.min_tokens) c.masked = start.stop_ids;
  c.prompt = start.prompt;
  c.output = start.sampled;
  c.u = u;
  return reference::sample(logits, c);
}

inline int32_t reference_token(const std::vector<float>& logits, const Start& start) {
  return reference_token(logits, start,
                         uniform_at(start.key, static_cast<uint32_t>(start.sampled.size())));
}

// What score and sample of a whole row of logits are, without a head.
inline SampledToken with_logprobs_of_row(const Device& device, std::span<const float> logits,
                                         int32_t id, int32_t n_top, SamplerScratch& scratch) {
  const VocabKernels& kernels = *device.kernels->vocab;
  std::vector<float> highest, sums;
  for (size_t begin = 0; begin < logits.size(); begin += kVocabTile) {
    const auto tile = logits.subspan(begin, std::min<size_t>(kVocabTile, logits.size() - begin));
    const TileWeight weight = kernels.weigh_tile(tile.data(), static_cast<int32_t>(tile.size()));
    highest.push_back(weight.highest);
    sums.push_back(weight.sum);
  }
  TopList best;
  start_list(n_top, best);
  if (n_top > 0) show_logits(kernels, logits, 0, scratch, best);
  finish_list(best);
  return with_logprobs(log_sum_of(kernels, {highest, sums}), {logits[id], id}, best.tokens, n_top);
}

inline SampledToken sample_row(const Device& device, std::span<float> logits, SamplerState& state,
                               SamplerScratch& scratch) {
  const TokenLogit token = sample_from_row(device, logits, state, scratch);
  if (!state.params.logprobs) return {token.id, 0.0f, {}};
  return with_logprobs_of_row(device, logits, token.id, *state.params.logprobs, scratch);
}

inline float uniform(std::mt19937& rng) {
  return std::uniform_real_distribution<float>(0.0f, 1.0f)(rng);
}

inline float one_of(std::initializer_list<float> xs, std::mt19937& rng) {
  return xs.begin()[std::uniform_int_distribution<size_t>(0, xs.size() - 1)(rng)];
}

// One of several kinds of logits.
inline std::vector<float> random_logits(std::mt19937& rng, int32_t n) {
  std::vector<float> logits;
  const int kind = std::uniform_int_distribution<int>(0, 4)(rng);
  std::normal_distribution<float> normal(0.0f, kind == 0 ? 1.0f : 5.0f);
  for (int32_t i = 0; i < n; ++i) {
    float x = normal(rng);
    if (kind == 2) x = std::round(x / 2.0f);               // many ties
    if (kind == 3) x = 0.01f * static_cast<float>(i % n);  // ascending: worst for a running cut
    if (kind == 4 && uniform(rng) < 0.3f) x = one_of({kNaN, kInfinity, -kInfinity}, rng);
    logits.push_back(x);
  }
  return logits;
}

// A random mix of parameters, before the first token.
inline Start random_start(std::mt19937& rng, int32_t n_vocab) {
  const auto id = [&] { return std::uniform_int_distribution<int32_t>(0, n_vocab - 1)(rng); };
  Start start;
  SamplingParams& params = start.params;
  params.temperature = one_of({0.0f, 1e-4f, 0.3f, 1.0f, 1.0f, 2.0f, 1e6f}, rng);
  params.top_k = static_cast<int32_t>(one_of({0, 0, 1, 2, 20, 128, 300, 1e6f}, rng));
  params.top_p = one_of({1.0f, 1.0f, 1e-6f, 0.5f, 0.9f, 0.99f, uniform(rng) + 1e-9f}, rng);
  params.min_p = one_of({0.0f, 0.0f, 0.05f, 1.0f, uniform(rng)}, rng);
  if (uniform(rng) < 0.4f) {
    params.repetition_penalty = 0.5f + uniform(rng);
    params.frequency_penalty = 2.0f * uniform(rng) - 1.0f;
    params.presence_penalty = 2.0f * uniform(rng) - 1.0f;
  }
  std::map<int32_t, float> bias;
  for (int i = 0; i < 3 && uniform(rng) < 0.3f; ++i) bias[id()] = 20.0f * uniform(rng) - 10.0f;
  params.logit_bias.assign(bias.rbegin(), bias.rend());
  for (int i = 0; i < 6; ++i) start.prompt.push_back(id());
  params.min_tokens = uniform(rng) < 0.3f ? 10 : 0;
  for (int i = 0; i < 3; ++i) start.stop_ids.push_back(id());
  start.key = rng();
  return start;
}

}  // namespace prefold
