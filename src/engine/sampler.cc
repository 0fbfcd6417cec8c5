#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
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

// The first count of an id that is not below `id`.
template <typename Counts>
auto find_count(Counts& counts, int32_t id) {
  return std::lower_bound(counts.begin(), counts.end(), id,
                          [](const SamplerState::Count& count, int32_t x) { return count.id < x; });
}

bool masks_stop_ids(const SamplerState& state) { return state.n_sampled < state.params.min_tokens; }

bool changes_logits(const SamplerState& state) {
  return masks_stop_ids(state) || !state.params.logit_bias.empty() || has_penalty(state.params);
}

// The logits of some consecutive ids with the changes that a request asks for. They are as before
// when this ends.
class ChangedLogits {
 public:
  // logits[0] is of first_id. `replaced` is of the scratch.
  ChangedLogits(std::span<float> logits, int32_t first_id, const SamplerState& state,
                std::vector<ReplacedLogit>& replaced)
      : logits_(logits), first_id_(first_id), replaced_(replaced) {
    replaced_.clear();
    mask_stop_ids(state);
    add_bias(state.params);
    apply_penalties(state);
  }
  ~ChangedLogits() {
    for (auto r = replaced_.rbegin(); r != replaced_.rend(); ++r) logits_[r->at] = r->logit;
  }
  ChangedLogits(const ChangedLogits&) = delete;
  ChangedLogits& operator=(const ChangedLogits&) = delete;

 private:
  void mask_stop_ids(const SamplerState& state) {
    if (!masks_stop_ids(state)) return;
    for (const int32_t id : state.stop_ids) {
      if (id >= first_id_ && id < end_id()) replace(id, -kInfinity);
    }
  }

  void add_bias(const SamplingParams& params) {
    const auto& bias = params.logit_bias;
    auto b = std::lower_bound(bias.begin(), bias.end(), first_id_,
                              [](const auto& pair, int32_t id) { return pair.first < id; });
    for (; b != bias.end() && b->first < end_id(); ++b) {
      change(b->first, [&](float x) { return x + b->second; });
    }
  }

  void apply_penalties(const SamplerState& state) {
    const SamplingParams& params = state.params;
    for (auto count = find_count(state.counts, first_id_);
         count != state.counts.end() && count->id < end_id(); ++count) {
      change(count->id, [&](float x) {
        x = x > 0.0f ? x / params.repetition_penalty : x * params.repetition_penalty;
        x -= params.frequency_penalty * static_cast<float>(count->n_output);
        return count->n_output > 0 ? x - params.presence_penalty : x;
      });
    }
  }

  int64_t end_id() const { return first_id_ + std::ssize(logits_); }

  // Replaces a finite logit by fn of it, kept finite: only a mask makes a token impossible.
  template <typename Fn>
  void change(int32_t id, Fn fn) {
    const float logit = logits_[id - first_id_];
    if (std::isfinite(logit)) replace(id, std::clamp(fn(logit), -kLargest, kLargest));
  }

  void replace(int32_t id, float by) {
    const int32_t at = id - first_id_;
    replaced_.push_back({at, logits_[at]});
    logits_[at] = by;
  }

  std::span<float> logits_;
  int32_t first_id_;
  std::vector<ReplacedLogit>& replaced_;
};

// Where no logit is finite: the lowest id that is not masked, 0 if all are.
int32_t lowest_id(const SamplerState& state, int32_t n_vocab) {
  if (!masks_stop_ids(state)) return 0;
  const std::vector<int32_t>& masked = state.stop_ids;
  for (int32_t id = 0; id < n_vocab; ++id) {
    if (std::find(masked.begin(), masked.end(), id) == masked.end()) return id;
  }
  return 0;
}

bool is_greedy(const SamplingParams& params) { return params.temperature < kGreedyBelow; }

int32_t top_k_of(const SamplingParams& params, int32_t n_vocab) {
  if (is_greedy(params)) return 1;
  return params.top_k > 0 && params.top_k < n_vocab ? params.top_k : 0;
}

double next_uniform(const SamplerState& state) {
  return uniform_at(state.key, static_cast<uint32_t>(state.n_sampled));
}

VocabWeights weights_below(float max_logit, const SamplingParams& params) {
  // The best token's weight is 1.
  return {max_logit, params.temperature, std::min(params.min_p, 1.0f)};
}

TokenLogit choose_from_best(const VocabKernels& kernels, std::span<const TokenLogit> best,
                            int32_t n_vocab, const SamplerState& state, SamplerScratch& scratch) {
  if (best.empty()) return {-kInfinity, lowest_id(state, n_vocab)};
  if (is_greedy(state.params)) return best.front();
  const VocabWeights rule = weights_below(best.front().logit, state.params);
  const int32_t id =
      draw_from_best(kernels, best, rule, state.params.top_p, next_uniform(state), scratch);
  return *std::find_if(best.begin(), best.end(), [&](const TokenLogit& t) { return t.id == id; });
}

int32_t choose_from_row(const VocabKernels& kernels, std::span<const float> logits,
                        const SamplerState& state, SamplerScratch& scratch) {
  const SamplingParams& params = state.params;
  const int32_t n = static_cast<int32_t>(logits.size());
  if (const int32_t k = top_k_of(params, n); k > 0) {
    start_list(k, scratch.best);
    show_logits(kernels, logits, 0, scratch, scratch.best);
    finish_list(scratch.best);
    return choose_from_best(kernels, scratch.best.tokens, n, state, scratch).id;
  }
  const float highest = kernels.highest(logits.data(), n);
  if (highest == -kInfinity) return lowest_id(state, n);
  return draw_from_row(kernels, logits, weights_below(highest, params), params.top_p,
                       next_uniform(state), scratch);
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
  const auto place = find_count(state.counts, id);
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
  std::sort(state.params.logit_bias.begin(), state.params.logit_bias.end());
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

int32_t best_that_decide(const SamplerState& state, int32_t n_vocab) {
  const SamplingParams& params = state.params;
  const int32_t k = top_k_of(params, n_vocab);
  // The raw logit of the token is known only where it was not changed.
  if (k > kMaxBest || (params.logprobs && changes_logits(state))) return 0;
  return k;
}

void show_changed_logits(const Device& device, std::span<float> logits, int32_t first_id,
                         const SamplerState& state, SamplerScratch& scratch, TopList& list) {
  const ChangedLogits changed(logits, first_id, state, scratch.replaced);
  show_logits(*device.kernels->vocab, logits, first_id, scratch, list);
}

TokenLogit sample_from_best(const Device& device, std::span<const TokenLogit> best, int32_t n_vocab,
                            SamplerState& state, SamplerScratch& scratch) {
  const TokenLogit token = choose_from_best(*device.kernels->vocab, best, n_vocab, state, scratch);
  take_token(state, token.id);
  return token;
}

TokenLogit sample_from_row(const Device& device, std::span<float> logits, SamplerState& state,
                           SamplerScratch& scratch) {
  CHECK(!logits.empty());
  int32_t id = 0;
  {
    const ChangedLogits changed(logits, 0, state, scratch.replaced);
    id = choose_from_row(*device.kernels->vocab, logits, state, scratch);
  }
  take_token(state, id);
  return {logits[id], id};
}

}  // namespace prefold
