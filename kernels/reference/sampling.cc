#include "kernels/reference/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

namespace prefold::reference {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

void adjust(std::vector<float>& logits, const SamplingCase& c) {
  for (float& x : logits) {
    if (!std::isfinite(x)) x = kLowest;
  }
  for (const int32_t id : c.masked) logits[id] = kLowest;
  for (const auto& [id, bias] : c.logit_bias) logits[id] += bias;
  std::map<int32_t, int32_t> n_output;
  for (const int32_t id : c.output) ++n_output[id];
  std::set<int32_t> seen(c.prompt.begin(), c.prompt.end());
  seen.insert(c.output.begin(), c.output.end());
  for (const int32_t id : seen) {
    float& x = logits[id];
    x = x > 0.0f ? x / c.repetition_penalty : x * c.repetition_penalty;
  }
  for (const auto& [id, n] : n_output) {
    logits[id] -= c.frequency_penalty * static_cast<float>(n);
    logits[id] -= c.presence_penalty;
  }
}

// The ids that truncation leaves, with weights relative to the best, most probable first.
std::vector<std::pair<int32_t, double>> kept_tokens(const std::vector<float>& logits,
                                                    const SamplingCase& c) {
  std::vector<int32_t> ids(logits.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
  std::stable_sort(ids.begin(), ids.end(),
                   [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  std::vector<std::pair<int32_t, double>> kept;
  double total = 0.0;
  for (const int32_t id : ids) {
    if (c.top_k > 0 && std::ssize(kept) == c.top_k) break;
    const float z = (logits[id] - logits[ids[0]]) / c.temperature;
    const float weight = static_cast<float>(std::exp(static_cast<double>(z)));
    if (weight < c.min_p) break;
    kept.emplace_back(id, weight);
    total += weight;
  }
  if (c.top_p >= 1.0f) return kept;
  double sum = 0.0;
  for (size_t i = 0; i < kept.size(); ++i) {
    sum += kept[i].second;
    if (sum >= c.top_p * total) {
      kept.resize(i + 1);
      break;
    }
  }
  return kept;
}

}  // namespace

int32_t sample(std::vector<float> logits, const SamplingCase& c) {
  adjust(logits, c);
  const auto best = std::max_element(logits.begin(), logits.end());
  if (*best == kLowest) {
    const std::set<int32_t> masked(c.masked.begin(), c.masked.end());
    for (int32_t id = 0; id < std::ssize(logits); ++id) {
      if (masked.count(id) == 0) return id;
    }
    return 0;
  }
  if (c.temperature < 1e-5f) return static_cast<int32_t>(best - logits.begin());

  std::vector<std::pair<int32_t, double>> kept = kept_tokens(logits, c);
  std::sort(kept.begin(), kept.end());
  double total = 0.0;
  for (const auto& [id, weight] : kept) total += weight;
  double sum = 0.0;
  for (const auto& [id, weight] : kept) {
    sum += weight;
    if (sum > c.u * total) return id;
  }
  return kept.back().first;
}

std::vector<double> log_softmax(std::span<const float> logits) {
  double highest = kLowest;
  for (const float x : logits) {
    if (std::isfinite(x)) highest = std::max(highest, static_cast<double>(x));
  }
  double sum = 0.0;
  for (const float x : logits) {
    if (std::isfinite(x)) sum += std::exp(x - highest);
  }
  std::vector<double> result;
  for (const float x : logits) {
    result.push_back(std::isfinite(x) ? x - highest - std::log(sum)
                                      : -std::numeric_limits<double>::infinity());
  }
  return result;
}

}  // namespace prefold::reference
