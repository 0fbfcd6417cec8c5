// The prediction of a run's end, on runs that are simulated: lengths are drawn, steps take what a
// formula says, and no clock is read.
#include "run/run_meter.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

using namespace prefold;

namespace {

constexpr int32_t kLayers = 30;

class DrawnEnds : public StepSink {
 public:
  // lengths: by prompt, of one sequence each.
  DrawnEnds(const Job& job, std::vector<int32_t> lengths)
      : job_(job), n_left_(std::move(lengths)) {}
  bool on_token(int32_t sequence, const SampledToken&) override {
    return --n_left_[job_.sequences[sequence].prompt] <= 0;
  }
  void on_score(int32_t, int32_t, const SampledToken&) override {}
  void on_embedding(int32_t, const std::vector<float>&) override {}
  void on_end(int32_t) override {}

 private:
  const Job& job_;
  std::vector<int32_t> n_left_;
};

struct Simulation {
  int32_t n_groups = 4;
  int32_t n_per_group = 100;
  int32_t max_tokens = 1000;
  int32_t n_blocks = 4000;
  double noise = 0.1;
  StepSeconds true_costs{0.02, 0.0005, 0.001};
  std::function<double(int32_t group, std::mt19937& random)> mean_length =
      [](int32_t, std::mt19937&) { return 100.0; };
};

struct Moment {
  double at_s, remaining_s;
};

// Where predictions were made, and the end.
std::vector<Moment> simulate(const Simulation& simulation, double& end_s) {
  std::mt19937 random(7);
  std::vector<std::vector<int32_t>> prompts;
  std::vector<int32_t> lengths;
  for (int32_t group = 0; group < simulation.n_groups; ++group) {
    for (int32_t i = 0; i < simulation.n_per_group; ++i) {
      std::vector<int32_t> prompt(200, 10 + group);  // shared in the group
      for (int k = 0; k < 40; ++k) prompt.push_back(static_cast<int32_t>(random() % 1000));
      prompts.push_back(prompt);
      std::exponential_distribution<double> length(1 / simulation.mean_length(group, random));
      lengths.push_back(1 + static_cast<int32_t>(length(random)));
    }
  }
  const PromptStore store(prompts);
  const PrefixTree tree = build_prefix_tree(store);
  ParameterSets parameters;
  parameters.add({});
  const std::vector<PromptSpec> specs(prompts.size(), {0, simulation.max_tokens, 0});
  Job job;
  job.prompts = &store;
  job.specs = specs;
  job.parameters = &parameters;
  job.tree = &tree;
  for (const int32_t prompt : tree.order) job.sequences.push_back({prompt, 0});
  ScheduleLimits limits;
  limits.token_budget = 256;
  limits.n_blocks = simulation.n_blocks;
  Scheduler scheduler(job, limits);
  DrawnEnds ends(job, lengths);
  RunMeter meter(job, scheduler, default_cost_model(), kLayers, 1 << 16, ends);
  std::uniform_real_distribution<double> noise(1 - simulation.noise, 1 + simulation.noise);
  std::vector<Moment> moments;
  double now_s = 0;
  while (!scheduler.done()) {
    const StepPlan plan = scheduler.next_step();
    const auto n_decode = std::count(plan.token_ids.begin(), plan.token_ids.end(), -1);
    CHECK(StepPlan::kFromSlot == -1);
    const auto n_prefill = std::ssize(plan.token_ids) - n_decode;
    const StepSeconds& costs = simulation.true_costs;
    now_s += noise(random) * (costs.step + costs.prefill_row * static_cast<double>(n_prefill) +
                              costs.decode_row * static_cast<double>(n_decode));
    StepResult result;
    result.step_idx = plan.step_idx;
    result.samples.resize(plan.samples.size());
    result.scores.resize(plan.scores.size());
    scheduler.commit(result, meter);
    StepSample sample;
    sample.end_s = now_s;
    sample.prefill_tokens = n_prefill;
    sample.decode_tokens = n_decode;
    meter.add(sample);
    const ProgressCounts counts = meter.counts();
    CHECK(counts.n_running + counts.n_waiting <= std::ssize(job.sequences));
    if (counts.remaining_s >= 0) moments.push_back({now_s, counts.remaining_s});
  }
  const ProgressCounts last = meter.counts();
  CHECK(last.n_running == 0);
  CHECK(last.n_waiting == 0);
  CHECK(last.kv_used_bytes == 0);
  CHECK(last.kv_pool_bytes == int64_t{simulation.n_blocks} << 16);
  end_s = now_s;
  return moments;
}

// The largest error of a prediction made in a part of the run, as a share of its whole time.
double worst_error(const std::vector<Moment>& moments, double end_s, double from, double to) {
  double worst = 0;
  for (const Moment& moment : moments) {
    if (moment.at_s < from * end_s || moment.at_s > to * end_s) continue;
    worst = std::max(worst, std::abs(moment.at_s + moment.remaining_s - end_s) / end_s);
  }
  return worst;
}

}  // namespace

TEST_CASE("costs of steps are learnt from steps that differ") {
  StepCosts costs({1.0, 1.0, 1.0});
  CHECK(costs.rows_per_step() == 0);
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    const double prefill = random() % 200, decode = random() % 100;
    costs.add(0.05 + 0.001 * prefill + 0.003 * decode, prefill, decode);
  }
  const StepSeconds learnt = costs.estimate();
  CHECK(learnt.step == doctest::Approx(0.05).epsilon(0.1));
  CHECK(learnt.prefill_row == doctest::Approx(0.001).epsilon(0.1));
  CHECK(learnt.decode_row == doctest::Approx(0.003).epsilon(0.1));
}

TEST_CASE("steps that are alike leave the prior's proportions") {
  StepCosts costs({2.0, 0.01, 0.03});
  for (int i = 0; i < 50; ++i) costs.add(0.5, 100, 50);
  const StepSeconds learnt = costs.estimate();
  CHECK(learnt.step + 100 * learnt.prefill_row + 50 * learnt.decode_row == doctest::Approx(0.5));
  CHECK(learnt.decode_row / learnt.prefill_row == doctest::Approx(3));
  CHECK(costs.rows_per_step() == doctest::Approx(150));
  // What has not been seen costs what the prior says, at this machine's speed.
  StepCosts prefill({2.0, 0.01, 0.03});
  for (int i = 0; i < 50; ++i) prefill.add(0.3, 100, 0);
  CHECK(prefill.estimate().decode_row == doctest::Approx(0.003));
}

TEST_CASE("a machine that becomes slower is believed within a minute or two") {
  StepCosts costs({0.1, 0.001, 0.001});
  for (int i = 0; i < 3000; ++i) costs.add(0.2, 100, 0);
  for (int i = 0; i < 500; ++i) costs.add(0.4, 100, 0);
  const StepSeconds learnt = costs.estimate();
  CHECK(learnt.step + 100 * learnt.prefill_row > 0.36);
}

TEST_CASE("the time left: full steps while something waits, then the longest answer") {
  const StepSeconds costs{1.0, 0.01, 0.1};
  Outlook outlook;
  outlook.decode_rows = 500;
  outlook.n_running = 10;
  outlook.longest_rest = 80;
  CHECK(steps_left(outlook, 20) == 80);
  CHECK(seconds_left(outlook, 20, costs) == 130);
  outlook.prefill_rows = 1000;
  outlook.n_waiting = 40;
  outlook.mean_answer = 20;
  outlook.long_answer = 51;
  // 100 of the 1,500 rows beside the last answer, which takes 50 steps after its prompt.
  CHECK(steps_left(outlook, 20) == 120);
  CHECK(seconds_left(outlook, 20, costs) == 180);
}

TEST_CASE("mean length: ends that are known, and the rate of ending beyond") {
  LengthDistribution lengths;
  for (int i = 0; i < 50; ++i) lengths.add(10, 1, 0);
  for (int i = 0; i < 50; ++i) lengths.add(30, 1, 0);
  CHECK(lengths.mean_end(0, 1000) == doctest::Approx(20));
  CHECK(lengths.mean_end(0, 20) == doctest::Approx(15));
  CHECK(lengths.mean_end(10, 1000) == doctest::Approx(30));
  // Half of those that were longer than 30 still run at 40: no more is known than that some ended.
  lengths.add(40, 0, 100);
  CHECK(lengths.mean_end(0, 31) == doctest::Approx(0.25 * 10 + 0.25 * 30 + 0.5 * 31));
  const double tail = (50 * 10 + 50 * 30 + 100 * 40) / 100.0;
  CHECK(lengths.mean_end(0, 1000) == doctest::Approx(0.25 * 10 + 0.25 * 30 + 0.5 * (30 + tail)));
  LengthDistribution all_cut;
  for (int i = 0; i < 10; ++i) all_cut.add(64, 0, 1);
  CHECK(all_cut.mean_end(5, 64) == 64);
  CHECK(lengths.end_of_all_but(0.6, 0, 1000) == 30);
  CHECK(lengths.end_of_all_but(0.25, 0, 1000) == doctest::Approx(30 + tail * std::log(2)));
  CHECK(lengths.end_of_all_but(0.001, 0, 50) == 50);
}

// The bounds leave room: predictions are rarer where making one takes long, as under sanitizers.
TEST_CASE("the end of a run is predicted from a tenth of it on") {
  double end_s = 0;
  Simulation simulation;
  const std::vector<Moment> moments = simulate(simulation, end_s);
  CHECK(worst_error(moments, end_s, 0.1, 0.5) < 0.4);
  CHECK(worst_error(moments, end_s, 0.5, 1.0) < 0.3);
}

TEST_CASE("the same with little KV memory") {
  double end_s = 0;
  Simulation simulation;
  simulation.n_blocks = 300;
  const std::vector<Moment> small = simulate(simulation, end_s);
  CHECK(worst_error(small, end_s, 0.1, 0.5) < 0.4);
  CHECK(worst_error(small, end_s, 0.5, 1.0) < 0.3);
}

TEST_CASE("groups whose answers are longer or shorter are told apart once some have ended") {
  double end_s = 0;
  Simulation simulation;
  simulation.n_groups = 2;
  simulation.n_per_group = 200;
  simulation.n_blocks = 300;
  simulation.mean_length = [](int32_t group, std::mt19937&) { return group == 0 ? 40.0 : 160.0; };
  const std::vector<Moment> moments = simulate(simulation, end_s);
  CHECK(worst_error(moments, end_s, 0.5, 1.0) < 0.3);
}
