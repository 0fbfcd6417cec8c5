// The sampler beside the distributions of vLLM's (scripts/make_sampling_oracle.py).
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "sampling_fixture.h"

namespace prefold {
namespace {

using Json = nlohmann::json;

constexpr int32_t kDraws = 4000;

Start start_of(const Json& c) {
  Start start;
  SamplingParams& params = start.params;
  params.temperature = c["temperature"];
  params.top_k = c["top_k"];
  params.top_p = c["top_p"];
  params.min_p = c["min_p"];
  params.repetition_penalty = c["repetition_penalty"];
  params.presence_penalty = c["presence_penalty"];
  params.frequency_penalty = c["frequency_penalty"];
  std::map<int32_t, float> biases;
  for (const auto& [id, bias] : c["logit_bias"].items()) biases[std::stoi(id)] = bias;
  params.logit_bias.assign(biases.begin(), biases.end());
  start.prompt = c["prompt"].get<std::vector<int32_t>>();
  start.sampled = c["output"].get<std::vector<int32_t>>();
  return start;
}

// How often each id is drawn, one draw a key.
std::map<int32_t, int32_t> drawn(const Device& device, const std::vector<float>& logits,
                                 Start start) {
  SamplerScratch scratch(static_cast<int32_t>(logits.size()));
  std::map<int32_t, int32_t> n_drawn;
  for (start.key = 0; start.key < kDraws; ++start.key) {
    SamplerState state = start_sampler(start);
    std::vector<float> row = logits;
    ++n_drawn[sample_row(device, row, state, scratch).id];
  }
  return n_drawn;
}

TEST_CASE("tokens are drawn as often as vLLM's sampler would draw them") {
  std::ifstream file("tests/data/sampling_oracle.json");
  const Json cases = Json::parse(file);
  REQUIRE(cases.size() == 60);
  const Device device{nullptr, available_cpu_kernels().back()};
  for (size_t i = 0; i < cases.size(); ++i) {
    CAPTURE(i);
    const Json& expected = cases[i]["probabilities"];
    const auto n_drawn =
        drawn(device, cases[i]["logits"].get<std::vector<float>>(), start_of(cases[i]));
    for (const auto& [id, n] : n_drawn) CHECK(expected.contains(std::to_string(id)));
    for (const auto& [id, p] : expected.items()) {
      const double probability = p;
      const auto found = n_drawn.find(std::stoi(id));
      const double frequency = found == n_drawn.end() ? 0.0 : double{1} * found->second / kDraws;
      // Five standard deviations, and the rounding of the file.
      const double tolerance = 5 * std::sqrt(probability * (1 - probability) / kDraws) + 1e-3;
      CHECK(std::abs(frequency - probability) < tolerance);
    }
  }
}

}  // namespace
}  // namespace prefold
