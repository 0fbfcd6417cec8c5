// Jobs so large that a step whose cost grew with the whole job would take minutes.
#include <doctest/doctest.h>

#include "schedule/scheduler.h"

using namespace prefold;

namespace {

struct CountingSink : StepSink {
  bool on_token(int32_t, const SampledToken&) override { return ++n_tokens % 5 == 0; }
  void on_score(int32_t, int32_t, const SampledToken&) override {}
  void on_embedding(int32_t, const std::vector<float>&) override {}
  void on_end(int32_t) override { ++n_ended; }
  int64_t n_tokens = 0, n_ended = 0;
};

struct LargeJob {
  PromptStore prompts;
  std::vector<PromptSpec> specs;
  ParameterSets parameters;
  PrefixTree tree;
  Job job;

  // n_groups prefixes of n_prefix tokens, and one prompt of two tokens more for each sequence.
  LargeJob(int32_t n_prompts, int32_t n_groups, int32_t n_prefix) {
    for (int32_t i = 0; i < n_prompts; ++i) {
      std::vector<int32_t> prompt(n_prefix, i % n_groups);
      prompt.push_back(n_prompts + i / n_groups);
      prompt.push_back(0);
      prompts.add(prompt);
    }
    tree = build_prefix_tree(prompts);
    specs.assign(n_prompts, {0, 4, parameters.add({})});
    job.prompts = &prompts;
    job.specs = specs;
    job.parameters = &parameters;
    job.tree = &tree;
    for (const int32_t prompt : tree.order) job.sequences.push_back({prompt, 0});
  }
};

// Samples token 1 everywhere.
void run(const Job& job, const ScheduleLimits& limits, CountingSink& sink) {
  Scheduler scheduler(job, limits);
  while (!scheduler.done()) {
    const StepPlan plan = scheduler.next_step();
    StepResult result{plan.step_idx, {}, {}, {}};
    result.samples.assign(plan.samples.size(), {1, 0.0f, {}});
    scheduler.commit(result, sink);
  }
  CHECK(scheduler.pool().n_used() == 0);
}

}  // namespace

TEST_CASE("100,000 prompts in 1,000 groups: each shared token is planned once") {
  const LargeJob large(100'000, 1'000, 40);
  CountingSink sink;
  run(large.job, {512, 4'000, {}}, sink);
  CHECK(sink.n_ended == 100'000);
}

TEST_CASE("100,000 prompts that share nothing, in a pool that holds few of them") {
  const LargeJob large(100'000, 100'000, 1);
  CountingSink sink;
  run(large.job, {64, 40, {}}, sink);
  CHECK(sink.n_ended == 100'000);
}

TEST_CASE("groups whose prefixes fill the pool run one after another in little time") {
  const LargeJob large(20'000, 20, 3 * kKvBlockTokens);
  CountingSink sink;
  run(large.job, {512, 5, {}}, sink);
  CHECK(sink.n_ended == 20'000);
}
