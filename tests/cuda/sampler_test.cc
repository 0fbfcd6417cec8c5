// Sampling and scoring on the GPU against src/engine/sampler.h on the same logits.
#include "cuda/sampler.h"

#include <doctest/doctest.h>

#include <numeric>
#include <random>
#include <vector>

#include "cuda/sampler_fixture.h"

namespace prefold::cuda {
namespace {

const Device& cpu() {
  static const Device device{nullptr, available_cpu_kernels().back()};
  return device;
}

float tolerance_of(float logprob) { return 1e-5f * (1.0f + std::fabs(logprob)); }

void check_close(float got, float wanted) {
  if (std::isinf(wanted)) {
    REQUIRE(got == wanted);
  } else {
    REQUIRE(std::fabs(got - wanted) <= tolerance_of(wanted));
  }
}

void check_logprobs(const SampledToken& got, const SampledToken& wanted) {
  REQUIRE(got.id == wanted.id);
  check_close(got.logprob, wanted.logprob);
  REQUIRE(got.top.size() == wanted.top.size());
  for (size_t i = 0; i < got.top.size(); ++i) {
    REQUIRE(got.top[i].first == wanted.top[i].first);
    check_close(got.top[i].second, wanted.top[i].second);
  }
}

struct Tally {
  int64_t n_tokens = 0;
  int64_t n_at_border = 0;
};

// Runs the requests for n_steps on both. The CPU goes on with the GPU's tokens.
Tally check_requests(std::vector<Start> requests, int32_t n_vocab, int32_t n_steps,
                     std::mt19937& rng) {
  const auto n = static_cast<int32_t>(requests.size());
  SamplerOnGpu gpu_sampler(limits_of(n_vocab, n, n), demands_of(requests));
  std::vector<SamplerState> states;
  for (const Start& start : requests) states.push_back(start_sampler(start));
  SamplerScratch scratch(n_vocab);
  Tally tally;
  for (int32_t step = 0; step < n_steps; ++step) {
    CAPTURE(step);
    Logits logits;
    for (int32_t i = 0; i < n; ++i) logits.push_back(random_logits(rng, n_vocab));
    gpu_sampler.submit(plan_of(requests, step == 0), logits);
    const StepResult result = gpu_sampler.wait();
    REQUIRE(std::ssize(result.samples) == n);
    for (int32_t i = 0; i < n; ++i) {
      CAPTURE(i);
      const SampledToken& got = result.samples[i];
      const SamplerState before = states[i];
      std::vector<float> row = logits[i];
      const SampledToken wanted = sample_row(cpu(), row, states[i], scratch);
      ++tally.n_tokens;
      if (got.id == wanted.id) {
        check_logprobs(got, wanted);
      } else {
        CAPTURE(got.id);
        CAPTURE(wanted.id);
        REQUIRE(is_at_border(logits[i], requests[i], got.id));
        ++tally.n_at_border;
        states[i] = before;
        take_token(states[i], got.id);
      }
      requests[i].sampled.push_back(got.id);
    }
  }
  return tally;
}

std::vector<Start> random_requests(int32_t n, int32_t n_vocab, std::mt19937& rng) {
  std::vector<Start> requests;
  for (int32_t i = 0; i < n; ++i) {
    Start start = random_start(rng, n_vocab);
    if (i % 4 == 0) start.params.logprobs = i / 4 % 3 * 10;  // 0, 10 or 20
    requests.push_back(start);
  }
  return requests;
}

Tally& operator+=(Tally& a, const Tally& b) {
  a.n_tokens += b.n_tokens;
  a.n_at_border += b.n_at_border;
  return a;
}

TEST_CASE("random mixes of parameters give the CPU's tokens and log-probabilities") {
  std::mt19937 rng(20240517);
  Tally tally;
  for (const int32_t n_vocab : {1, 7, 17, 100, 512, 1000, 1024, 2500}) {
    CAPTURE(n_vocab);
    for (int i = 0; i < 3; ++i) {  // 12 steps: some requests have masks for the first 10
      tally += check_requests(random_requests(16, n_vocab, rng), n_vocab, 12, rng);
    }
  }
  CHECK(tally.n_tokens == 8 * 3 * 16 * 12);
  CHECK(tally.n_at_border <= tally.n_tokens / 200);
  MESSAGE(tally.n_at_border << " of " << tally.n_tokens << " tokens at a border");
}

TEST_CASE("the same for large vocabularies") {
  std::mt19937 rng(7);
  Tally tally;
  for (const int32_t n_vocab : {49152, 131072}) {
    tally += check_requests(random_requests(12, n_vocab, rng), n_vocab, 4, rng);
  }
  CHECK(tally.n_at_border <= 1);
  MESSAGE(tally.n_at_border << " of " << tally.n_tokens << " tokens at a border");
}

TEST_CASE("the same for many more requests [full]") {
  std::mt19937 rng(99);
  Tally tally;
  for (const int32_t n_vocab : {512, 3000, 49152, 131072, 262144}) {
    const int n_rounds = n_vocab < 10000 ? 60 : 8;
    for (int i = 0; i < n_rounds; ++i) {
      tally += check_requests(random_requests(24, n_vocab, rng), n_vocab, 6, rng);
    }
  }
  CHECK(tally.n_at_border <= tally.n_tokens / 200);
  MESSAGE(tally.n_at_border << " of " << tally.n_tokens << " tokens at a border");
}

std::vector<float> floats_of(int32_t n, float (*value)(int32_t id)) {
  std::vector<float> x(n);
  for (int32_t id = 0; id < n; ++id) x[id] = value(id);
  return x;
}

// Rows that selection finds hard: many ties, all within rounding, far apart, hardly any finite.
Logits hard_rows(int32_t n) {
  Logits rows{
      floats_of(n, [](int32_t) { return 2.0f; }),
      floats_of(n, [](int32_t id) { return id % 2 == 0 ? 0.0f : -0.0f; }),
      floats_of(n, [](int32_t id) { return static_cast<float>(id % 3); }),
      floats_of(n, [](int32_t id) { return 1.0f + 1e-7f * static_cast<float>(id % 50); }),
      floats_of(n, [](int32_t id) { return -40.0f * static_cast<float>((id * 7) % 1000); }),
      floats_of(n, [](int32_t id) { return id == 5 ? 3.0f : kNaN; }),
      floats_of(n, [](int32_t) { return -kInfinity; }),
      floats_of(n, [](int32_t id) { return id % 2 == 0 ? kInfinity : kNaN; }),
      floats_of(n, [](int32_t id) { return id % 2 == 0 ? 3e38f : -3e38f; }),
  };
  return rows;
}

TEST_CASE("ties, close and distant logits, NaN and infinity are as on the CPU [smoke]") {
  std::vector<SamplingParams> mixes(7);
  mixes[0].temperature = 0.0f;
  mixes[1].top_k = 3;
  mixes[2].top_k = 3000;
  mixes[3].top_p = 0.4f;
  mixes[4].top_k = 2500, mixes[4].top_p = 0.9f, mixes[4].temperature = 0.5f;
  mixes[5].min_p = 0.2f, mixes[5].top_p = 0.7f, mixes[5].min_tokens = 1;
  mixes[6].top_k = 1, mixes[6].temperature = 1e-4f;
  const int32_t n_vocab = 6000;
  SamplerScratch scratch(n_vocab);
  const Logits rows = hard_rows(n_vocab);
  std::vector<Start> requests;
  Logits logits;
  for (const SamplingParams& params : mixes) {
    for (const std::vector<float>& row : rows) {
      Start start;
      start.params = params;
      start.params.logprobs = static_cast<int32_t>(requests.size() % 21);
      start.stop_ids = {1, 0, 3, 1};
      start.key = requests.size();
      requests.push_back(start);
      logits.push_back(row);
    }
  }
  const auto n = static_cast<int32_t>(requests.size());
  SamplerOnGpu gpu_sampler(limits_of(n_vocab, n, 16), demands_of(requests));
  gpu_sampler.submit(plan_of(requests, true), logits);
  const StepResult result = gpu_sampler.wait();
  for (int32_t i = 0; i < n; ++i) {
    CAPTURE(i);
    SamplerState state = start_sampler(requests[i]);
    const SampledToken wanted = sample_row(cpu(), logits[i], state, scratch);
    if (result.samples[i].id == wanted.id) {
      check_logprobs(result.samples[i], wanted);
    } else {
      REQUIRE(is_at_border(logits[i], requests[i], result.samples[i].id));
    }
  }
}

TEST_CASE("greedy tokens are always the CPU's, with masks, bias and penalties [smoke]") {
  std::mt19937 rng(3);
  for (const int32_t n_vocab : {17, 512, 9000}) {
    std::vector<Start> requests = random_requests(12, n_vocab, rng);
    for (Start& start : requests) start.params.temperature = 0.0f;
    CHECK(check_requests(requests, n_vocab, 5, rng).n_at_border == 0);
  }
}

TEST_CASE("the uniform number of a draw is the CPU's") {
  const int32_t n_vocab = 16384;  // all tokens alike: the draw is the first 14 bits of u
  std::mt19937_64 rng(11);
  std::vector<Start> requests(20);
  for (Start& start : requests) start.key = rng();
  SamplerOnGpu gpu_sampler(limits_of(n_vocab, 20, 20), demands_of(requests));
  const Logits logits(20, std::vector<float>(n_vocab, -1.0f));
  for (uint32_t step = 0; step < 6; ++step) {
    gpu_sampler.submit(plan_of(requests, step == 0), logits);
    const StepResult result = gpu_sampler.wait();
    for (size_t i = 0; i < requests.size(); ++i) {
      const double u = uniform_at(requests[i].key, step);
      CHECK(result.samples[i].id == static_cast<int32_t>(u * n_vocab));
    }
  }
}

TEST_CASE("scores are the CPU's, beside samples of the same row and in batches of any size") {
  const int32_t n_vocab = 12000;
  std::mt19937 rng(21);
  std::vector<Start> requests = random_requests(5, n_vocab, rng);
  Logits logits;
  for (int i = 0; i < 5; ++i) logits.push_back(random_logits(rng, n_vocab));
  logits[1].assign(n_vocab, kNaN);
  StepPlan plan = plan_of(requests, true);
  for (int32_t i = 0; i < 5; ++i) {
    plan.scores.push_back({i, 100 * i, 5 * i});
    logits.push_back(logits[i]);
  }
  SamplerScratch scratch(n_vocab);
  StepResult first;
  for (const int32_t max_batch : {10, 3, 1}) {
    SamplerOnGpu gpu_sampler(limits_of(n_vocab, 5, max_batch), demands_of(requests));
    gpu_sampler.submit(plan, logits);
    StepResult result = gpu_sampler.wait();
    REQUIRE(result.scores.size() == 5);
    for (int32_t i = 0; i < 5; ++i) {
      CAPTURE(i);
      check_logprobs(result.scores[i],
                     with_logprobs_of_row(cpu(), logits[i], 100 * i, 5 * i, scratch));
    }
    if (max_batch == 10) first = result;
    for (size_t i = 0; i < 5; ++i) {  // to the bit
      CHECK(result.samples[i].id == first.samples[i].id);
      CHECK(result.samples[i].logprob == first.samples[i].logprob);
      CHECK(result.samples[i].top == first.samples[i].top);
      CHECK(result.scores[i].logprob == first.scores[i].logprob);
      CHECK(result.scores[i].top == first.scores[i].top);
    }
  }
}

TEST_CASE("a token depends neither on the rows beside it nor on how many blocks walk its row") {
  const int32_t n_vocab = 30000, n = 10;
  std::mt19937 rng(31);
  std::vector<Start> requests = random_requests(n, n_vocab, rng);
  Logits logits;
  for (int32_t i = 0; i < n; ++i) {
    logits.push_back(random_logits(rng, n_vocab));
    requests[i].params.temperature = 0.5f + 0.2f * static_cast<float>(i);
  }
  logits[3].assign(n_vocab, 1.5f);  // more candidates than there is room for
  std::vector<SampledToken> first;
  for (const int32_t n_sms : {1, 4, 500}) {
    for (const int32_t max_batch : {n, 3}) {
      CAPTURE(n_sms);
      CAPTURE(max_batch);
      SamplerLimits limits = limits_of(n_vocab, n, max_batch);
      limits.n_sms = n_sms;
      SamplerOnGpu gpu_sampler(limits, demands_of(requests));
      gpu_sampler.submit(plan_of(requests, true), logits);
      const StepResult result = gpu_sampler.wait();
      if (first.empty()) first = result.samples;
      for (int32_t i = 0; i < n; ++i) {
        CHECK(result.samples[i].id == first[i].id);
        CHECK(result.samples[i].logprob == first[i].logprob);
        CHECK(result.samples[i].top == first[i].top);
      }
    }
  }
}

TEST_CASE("few rows are walked by many blocks each, many rows by one") {
  CHECK(draw_row_blocks(1, 128256, 108) == 16);  // of 8 warps, a warp for each 1,024 ids
  CHECK(draw_row_blocks(64, 128256, 108) == 14);
  CHECK(draw_row_blocks(2000, 128256, 108) == 1);
  CHECK(draw_row_blocks(1, 100, 108) == 1);
}

TEST_CASE("the gather of a step names each item's row, samples first") {
  std::mt19937 rng(1);
  const std::vector<Start> requests = random_requests(2, 100, rng);
  SamplerOnGpu gpu_sampler(limits_of(100, 2, 4), demands_of(requests));
  StepPlan plan = plan_of(requests, true);
  plan.samples = {{7, 1}, {7, 0}};
  plan.scores = {{4, 3, 0}};
  gpu_sampler.submit(plan, Logits(3, std::vector<float>(100, 0.0f)));
  std::vector<int32_t> rows(3);
  check_cuda("download", cudaMemcpy(rows.data(), gpu_sampler.sampler().item_rows(),
                                    rows.size() * sizeof(int32_t), cudaMemcpyDeviceToHost));
  CHECK(rows == std::vector<int32_t>{7, 7, 4});
  gpu_sampler.wait();
}

TEST_CASE("slots are taken again, two steps are in flight, pages are enough for any sequences") {
  const int32_t n_vocab = 400, n_slots = 3, n_sequences = 12, n_steps = 4;
  std::mt19937 rng(17);
  std::vector<Start> sequences = random_requests(n_sequences, n_vocab, rng);
  std::uniform_int_distribution<int32_t> id(0, n_vocab - 1);
  for (size_t i = 0; i < sequences.size(); ++i) {  // none, one or several pages
    if (i % 3 == 0) sequences[i].params.repetition_penalty = 1.0f;
    sequences[i].prompt.clear();
    for (size_t k = 0; k < i % 4 * 150; ++k) sequences[i].prompt.push_back(id(rng));
  }
  SamplerOnGpu gpu_sampler(limits_of(n_vocab, n_slots, n_slots), demands_of(sequences));
  SamplerScratch scratch(n_vocab);
  std::vector<SamplerState> states;
  for (const Start& start : sequences) states.push_back(start_sampler(start));
  std::vector<int32_t> last(n_slots);

  // Sequence s runs in slot s % n_slots, n_steps steps long, then the next one.
  struct Flight {
    std::vector<int32_t> sequences;
    Logits logits;
  };
  std::vector<Flight> in_flight;
  const auto check_oldest = [&] {
    const StepResult result = gpu_sampler.wait();
    const Flight flight = in_flight.front();
    in_flight.erase(in_flight.begin());
    for (size_t i = 0; i < flight.sequences.size(); ++i) {
      const int32_t s = flight.sequences[i];
      CAPTURE(s);
      SamplerState& state = states[s];
      const SamplerState before = state;
      std::vector<float> row = flight.logits[i];
      const SampledToken wanted = sample_row(cpu(), row, state, scratch);
      if (result.samples[i].id != wanted.id) {
        REQUIRE(is_at_border(flight.logits[i], sequences[s], result.samples[i].id));
        state = before;
        take_token(state, result.samples[i].id);
      }
      sequences[s].sampled.push_back(result.samples[i].id);
      last[s % n_slots] = result.samples[i].id;
    }
  };
  for (int32_t step = 0; step < n_sequences / n_slots * n_steps; ++step) {
    StepPlan plan;
    Flight flight;
    for (int32_t slot = 0; slot < n_slots; ++slot) {
      const int32_t s = step / n_steps * n_slots + slot;
      const Start& start = sequences[s];
      if (step % n_steps == 0) {
        plan.slot_starts.push_back(
            {slot, &start.params, start.stop_ids, start.prompt, start.key, kMaxTokens});
      }
      plan.samples.push_back({slot, slot});
      flight.sequences.push_back(s);
      flight.logits.push_back(random_logits(rng, n_vocab));
    }
    if (in_flight.size() == 2) check_oldest();
    gpu_sampler.submit(plan, flight.logits);
    in_flight.push_back(flight);
  }
  while (!in_flight.empty()) check_oldest();

  std::vector<int32_t> last_tokens(n_slots);
  check_cuda("download", cudaMemcpy(last_tokens.data(), gpu_sampler.sampler().last_tokens(),
                                    n_slots * sizeof(int32_t), cudaMemcpyDeviceToHost));
  CHECK(last_tokens == last);
}

TEST_CASE("a job without changed logits takes no memory for them; penalties are sized by need") {
  SamplerLimits limits = limits_of(1000, 4, 4);
  SamplingParams plain, penalized, biased;
  penalized.repetition_penalty = 1.1f;
  biased.logit_bias = {{3, 1.0f}, {5, 2.0f}};
  const SamplerLimits none = with_demands(limits, std::vector<SlotDemand>(9, {&plain, 5, 50, 50}));
  CHECK(none.n_pages == 0);
  CHECK(none.max_slot_pages == 0);
  CHECK(none.max_new_changes == 0);

  // 300 prompt tokens and 40 of output: 3 pages; two of bias: 1 page.
  std::vector<SlotDemand> demands(20, {&biased, 0, 10, 10});
  demands.push_back({&penalized, 0, 300, 40});
  const SamplerLimits some = with_demands(limits, demands);
  CHECK(some.max_slot_pages == 3);
  CHECK(some.n_pages == 3 + 3 * 1);
  CHECK(some.max_new_changes == 300 + 3 * 2);
  // Never more than the vocabulary.
  demands.back().n_prompt_tokens = 100000;
  CHECK(with_demands(limits, demands).max_slot_pages == 8);
}

}  // namespace
}  // namespace prefold::cuda
