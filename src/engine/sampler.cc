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

// The first count of an id that is not below `id`.
template <typename Counts>
auto find_count(Counts& counts, int32_t id) {
  return std::lower_bound(counts.begin(), counts.end(), id,
                          [](const SamplerState::Count& count, int32_t x) { return count.id < x; });
}

bool masks_stop_ids(const SamplerState& state) { return state.n_sampled < state.params.min_tokens; }

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

int32_t choose(const VocabKernels& kernels, std::span<const float> logits,
               const SamplerState& state, SamplerScratch& scratch) {
  const SamplingParams& params = state.params;
  const int32_t n = static_cast<int32_t>(logits.size());
  const BestLogit best = kernels.argmax(logits.data(), n);
  if (best.logit == -kInfinity) return lowest_id(state, n);
  if (is_greedy(params)) return best.id;

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

SampledToken sample(const Device& device, std::span<float> logits, SamplerState& state,
                    SamplerScratch& scratch) {
  CHECK(!logits.empty());
  const SamplingParams& params = state.params;
  int32_t id = 0;
  {
    const ChangedLogits changed(logits, 0, state, scratch.replaced);
    id = choose(*device.kernels->vocab, logits, state, scratch);
  }
  take_token(state, id);
  if (params.logprobs) return score(device, logits, id, *params.logprobs, scratch);
  return {id, 0.0f, {}};
}

bool needs_only_best(const SamplingParams& params) { return is_greedy(params) && !params.logprobs; }

void find_best_in_tile(const Device& device, std::span<float> logits, int32_t first_id,
                       const SamplerState& state, SamplerScratch& scratch, BestLogit& best) {
  const ChangedLogits changed(logits, first_id, state, scratch.replaced);
  const float highest =
      device.kernels->vocab->highest(logits.data(), static_cast<int32_t>(logits.size()));
  if (highest < best.logit || highest == -kInfinity) return;
  // Few tiles come this far.
  const auto place = std::find(logits.begin(), logits.end(), highest);
  take_better({highest, first_id + static_cast<int32_t>(place - logits.begin())}, best);
}

void take_better(const BestLogit& other, BestLogit& best) {
  if (is_better({other.logit, other.id}, {best.logit, best.id})) best = other;
}

SampledToken sample_best(const BestLogit& best, int32_t n_vocab, SamplerState& state) {
  CHECK(needs_only_best(state.params));
  const int32_t id = best.logit == -kInfinity ? lowest_id(state, n_vocab) : best.id;
  take_token(state, id);
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
