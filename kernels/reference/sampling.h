// Sampling as plain loops and full sorts, the truth that the sampler is tested against. The rules
// are those of src/engine/sampler.h.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace prefold::reference {

struct SamplingCase {
  float temperature = 1.0f;
  int32_t top_k = 0;
  float top_p = 1.0f;
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;
  float frequency_penalty = 0.0f;
  float presence_penalty = 0.0f;
  std::vector<std::pair<int32_t, float>> logit_bias;
  std::vector<int32_t> masked;  // stop ids, if min_tokens is not reached
  std::vector<int32_t> prompt;
  std::vector<int32_t> output;
  double u = 0.0;  // the uniform number of this draw
};

int32_t sample(std::vector<float> logits, const SamplingCase& c);

// Natural-log probabilities; a logit that is not finite has probability 0.
std::vector<double> log_softmax(std::span<const float> logits);

}  // namespace prefold::reference
