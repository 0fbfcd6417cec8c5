#include "plan/parameter_sets.h"

#include <doctest/doctest.h>

#include <string>

using namespace prefold;

TEST_CASE("equal sets have one index, whatever comes between them") {
  ParameterSets sets;
  ParameterSet greedy, warm;
  greedy.params.temperature = 0.0f;
  warm.params.stop = {"\n"};
  CHECK(sets.add(greedy) == 0);
  CHECK(sets.add(greedy) == 0);
  CHECK(sets.add(warm) == 1);
  CHECK(sets.add(greedy) == 0);
  greedy.params.temperature = -0.0f;
  CHECK(sets.add(greedy) == 0);
  CHECK(sets.size() == 2);
  CHECK(sets[1] == warm);
}

TEST_CASE("every parameter tells sets apart") {
  ParameterSets sets;
  int32_t n_sets = 0;
  const auto check_new = [&](auto change) {
    ParameterSet set;
    change(set, set.params);
    CHECK(sets.add(set) == n_sets++);
  };
  check_new([](ParameterSet&, SamplingParams&) {});
  check_new([](ParameterSet& set, SamplingParams&) { set.stop_ids = {2}; });
  check_new([](ParameterSet& set, SamplingParams&) { set.n_computed = 2; });
  check_new([](ParameterSet&, SamplingParams& params) { params.min_tokens = 1; });
  check_new([](ParameterSet&, SamplingParams& params) { params.temperature = 0.5f; });
  check_new([](ParameterSet&, SamplingParams& params) { params.top_k = 1; });
  check_new([](ParameterSet&, SamplingParams& params) { params.logit_bias = {{1, 0.5f}}; });
  check_new([](ParameterSet&, SamplingParams& params) { params.stop = {"x"}; });
  check_new([](ParameterSet&, SamplingParams& params) { params.stop_token_ids = {3}; });
  check_new([](ParameterSet&, SamplingParams& params) { params.ignore_eos = true; });
  check_new([](ParameterSet&, SamplingParams& params) { params.logprobs = 0; });
  check_new([](ParameterSet&, SamplingParams& params) { params.prompt_logprobs = 0; });
  check_new([](ParameterSet&, SamplingParams& params) { params.echo = true; });
  check_new([](ParameterSet& set, SamplingParams&) { set.embedding = {{}, false}; });
  check_new([](ParameterSet& set, SamplingParams&) { set.embedding = {{}, true}; });
  check_new([](ParameterSet& set, SamplingParams&) { set.embedding = {3, true}; });
  check_new([](ParameterSet& set, SamplingParams&) { set.has_seed = true; });
  check_new([](ParameterSet& set, SamplingParams&) { set.kind = LineKind::kOpenAiChat; });
  check_new([](ParameterSet& set, SamplingParams&) { set.model = "m"; });
}

TEST_CASE("a set stays where it is while others are added") {
  ParameterSets sets;
  sets.add({});
  const ParameterSet* first = &sets[0];
  for (int32_t i = 1; i < 50'000; ++i) {
    ParameterSet set;
    set.params.stop = {std::to_string(i)};
    REQUIRE(sets.add(set) == i);
  }
  CHECK(&sets[0] == first);
}
