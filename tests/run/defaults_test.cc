#include <doctest/doctest.h>

#include "run/options.h"

namespace prefold {
namespace {

TEST_CASE("a line's defaults: the command line, else the model's, else those of SamplingParams") {
  const SamplingParams none = resolve_defaults({}, {});
  CHECK(none == SamplingParams{});
  GenerationConfig model;
  model.temperature = 0.6f;
  model.top_p = 0.9f;
  model.top_k = 20;
  model.min_p = 0.05f;
  model.repetition_penalty = 1.1f;
  const SamplingParams of_model = resolve_defaults({}, model);
  CHECK(of_model.temperature == 0.6f);
  CHECK(of_model.top_p == 0.9f);
  CHECK(of_model.top_k == 20);
  CHECK(of_model.min_p == 0.05f);
  CHECK(of_model.repetition_penalty == 1.1f);
  SamplingDefaults typed;
  typed.temperature = 0.0f;
  typed.top_k = 0;
  typed.max_tokens = 5;
  const SamplingParams both = resolve_defaults(typed, model);
  CHECK(both.temperature == 0.0f);
  CHECK(both.top_k == 0);
  CHECK(both.top_p == 0.9f);
  CHECK(both.max_tokens == 5);
}

}  // namespace
}  // namespace prefold
