#include "engine/sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <random>
#include <string>

#include "engine/natural_log.h"
#include "sampling_fixture.h"

using namespace prefold;

namespace {

std::vector<Device> test_devices() {
  std::vector<Device> devices;
  for (const CpuKernels* kernels : available_cpu_kernels()) devices.push_back({nullptr, kernels});
  return devices;
}

struct Job {
  std::vector<float> logits;
  Start start;
};

SampledToken run(const Device& device, const Job& job) {
  SamplerScratch scratch(static_cast<int32_t>(job.logits.size()));
  SamplerState state = start_sampler(job.start);
  std::vector<float> logits = job.logits;
  const SampledToken token = sample_row(device, logits, state, scratch);
  REQUIRE(std::memcmp(logits.data(), job.logits.data(), logits.size() * sizeof(float)) == 0);
  REQUIRE(state.last_token == token.id);
  REQUIRE(state.n_sampled == std::ssize(job.start.sampled) + 1);
  return token;
}

// The same from lists of the best logits, shown tiles in random order.
int32_t run_by_lists(const Device& device, const Job& job, std::mt19937& rng) {
  const int32_t n = static_cast<int32_t>(job.logits.size());
  SamplerScratch scratch(n);
  SamplerState state = start_sampler(job.start);
  std::vector<float> logits = job.logits;
  std::vector<int32_t> begins;
  for (int32_t begin = 0; begin < n; begin += kVocabTile) begins.push_back(begin);
  std::shuffle(begins.begin(), begins.end(), rng);
  std::vector<TopList> lists(3);
  for (TopList& list : lists) start_list(best_that_decide(state, n), list);
  for (const int32_t begin : begins) {
    const std::span<float> tile(logits.data() + begin, std::min(kVocabTile, n - begin));
    show_changed_logits(device, tile, begin, state, scratch, lists[rng() % lists.size()]);
  }
  merge_list(lists[1], lists[0]);
  merge_list(lists[2], lists[0]);
  finish_list(lists[0]);
  REQUIRE(std::memcmp(logits.data(), job.logits.data(), logits.size() * sizeof(float)) == 0);
  return sample_from_best(device, lists[0].tokens, n, state, scratch).id;
}

// A random mix of parameters in the middle of an answer, over random logits.
Job random_job(std::mt19937& rng, int32_t n) {
  Job job{random_logits(rng, n), random_start(rng, n)};
  for (int i = 0; i < 6; ++i) {
    const int32_t other = std::uniform_int_distribution<int32_t>(0, n - 1)(rng);
    job.start.sampled.push_back(i % 3 == 0 ? job.start.prompt[i] : other);
  }
  return job;
}

Job job_of(std::vector<float> logits, SamplingParams params = {}) {
  Job job;
  job.logits = std::move(logits);
  job.start.params = std::move(params);
  return job;
}

// The ids that 2,000 draws with different keys give.
std::map<int32_t, int> drawn_ids(Job job) {
  const Device device{nullptr, available_cpu_kernels().back()};
  std::map<int32_t, int> n_drawn;
  for (job.start.key = 0; job.start.key < 2000; ++job.start.key) ++n_drawn[run(device, job).id];
  return n_drawn;
}

std::vector<int32_t> ids_of(const std::map<int32_t, int>& counts) {
  std::vector<int32_t> ids;
  for (const auto& [id, n] : counts) ids.push_back(id);
  return ids;
}

}  // namespace

TEST_CASE("the sampler gives the reference's tokens for random mixes of parameters") {
  for (const Device& device : test_devices()) {
    CAPTURE(std::string(device.kernels->isa));
    std::mt19937 rng(20240517);
    int32_t n_by_lists = 0;
    for (int i = 0; i < 4000; ++i) {
      const int32_t sizes[] = {1, 7, 16, 100, 1000, 1024, 2500};
      const Job job = random_job(rng, sizes[i % std::size(sizes)]);
      CAPTURE(i);
      REQUIRE(run(device, job).id == reference_token(job.logits, job.start));
      if (best_that_decide(start_sampler(job.start), sizes[i % std::size(sizes)]) == 0) continue;
      REQUIRE(run_by_lists(device, job, rng) == run(device, job).id);
      ++n_by_lists;
    }
    CHECK(n_by_lists > 1500);
  }
}

TEST_CASE("log-probabilities are of the raw logits and their bits are the same on every ISA") {
  std::mt19937 rng(5);
  for (int i = 0; i < 60; ++i) {
    Job job = random_job(rng, i % 2 == 0 ? 2500 : 49152);
    job.start.params.logprobs = 20;
    const std::vector<double> wanted = reference::log_softmax(job.logits);
    std::vector<int32_t> ids(job.logits.size());
    std::iota(ids.begin(), ids.end(), 0);
    std::stable_sort(ids.begin(), ids.end(),
                     [&](int32_t a, int32_t b) { return wanted[a] > wanted[b]; });
    const SampledToken first = run(test_devices()[0], job);
    for (const Device& device : test_devices()) {
      CAPTURE(std::string(device.kernels->isa));
      const SampledToken token = run(device, job);
      if (std::isfinite(wanted[token.id])) {
        CHECK(token.logprob == doctest::Approx(wanted[token.id]).epsilon(1e-6));
      }
      REQUIRE(token.top.size() == 20);
      for (size_t k = 0; k < token.top.size(); ++k) {
        CHECK(token.top[k].first == ids[k]);
        CHECK(token.top[k].second == doctest::Approx(wanted[ids[k]]).epsilon(1e-6));
      }
      CHECK(token.id == first.id);
      CHECK(std::memcmp(&token.logprob, &first.logprob, sizeof(float)) == 0);
      CHECK(token.top == first.top);
    }
  }
}

TEST_CASE("greedy takes the highest logit, the lower id on a tie") {
  SamplingParams greedy;
  greedy.temperature = 0.0f;
  greedy.top_k = 2;
  for (const Device& device : test_devices()) {
    CHECK(run(device, job_of({1, 3, 3, 2}, greedy)).id == 1);
  }
}

TEST_CASE("top_k keeps exactly k tokens, lower ids first among equals") {
  SamplingParams params;
  params.top_k = 3;
  CHECK(ids_of(drawn_ids(job_of({0, 1, 0, 0, 0}, params))) == std::vector<int32_t>{0, 1, 2});
  params.top_k = 5;
  std::vector<float> equal(5000, 2.0f);
  CHECK(ids_of(drawn_ids(job_of(equal, params))) == std::vector<int32_t>{0, 1, 2, 3, 4});
}

TEST_CASE("top_p with a temperature below the steps between logits keeps the best token") {
  SamplingParams params;
  params.top_p = 0.9f;
  params.temperature = 1e-4f;
  CHECK(ids_of(drawn_ids(job_of({5000, 4000, 0}, params))) == std::vector<int32_t>{0});
  params.temperature = 1.0f;
  CHECK(ids_of(drawn_ids(job_of({-3e38f, 3e38f, 0}, params))) == std::vector<int32_t>{1});
}

TEST_CASE("top_p keeps the fewest tokens that reach it, lower ids first among equals") {
  SamplingParams params;
  const std::vector<float> four_equal{1, 1, 1, 1};
  params.top_p = 0.75f;
  CHECK(ids_of(drawn_ids(job_of(four_equal, params))) == std::vector<int32_t>{0, 1, 2});
  params.top_p = 0.7501f;
  CHECK(ids_of(drawn_ids(job_of(four_equal, params))) == std::vector<int32_t>{0, 1, 2, 3});
  params.top_p = 1e-9f;
  CHECK(ids_of(drawn_ids(job_of({0, 1, 5, 5}, params))) == std::vector<int32_t>{2});
}

TEST_CASE("top_p counts what top_k and min_p have left") {
  SamplingParams params;
  params.top_k = 2;
  params.top_p = 0.5f;  // a half of the two left, not of all four
  CHECK(ids_of(drawn_ids(job_of({1, 1, 1, 1}, params))) == std::vector<int32_t>{0});
  params.top_k = 0;
  params.min_p = 0.5f;
  CHECK(ids_of(drawn_ids(job_of({5, 5, 4, 4, 4, 4}, params))) == std::vector<int32_t>{0});
}

TEST_CASE("min_p keeps tokens at least that many times as probable as the best") {
  SamplingParams params;
  params.min_p = 0.4f;  // exp(-1) = 0.37 is out, exp(-0.9) = 0.41 is in
  CHECK(ids_of(drawn_ids(job_of({0, -1, -0.9f}, params))) == std::vector<int32_t>{0, 2});
}

TEST_CASE("tokens are drawn as often as they are probable") {
  const std::vector<float> logits{std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  std::map<int32_t, int> n = drawn_ids(job_of(logits));
  CHECK(n[0] == doctest::Approx(1000).epsilon(0.1));
  CHECK(n[1] == doctest::Approx(600).epsilon(0.1));
  CHECK(n[2] == doctest::Approx(400).epsilon(0.15));
}

TEST_CASE("stop ids are never drawn before min_tokens, not even when nothing else is finite") {
  SamplingParams params;
  params.min_tokens = 1;
  Job job = job_of({9, 1, 0}, params);
  job.start.stop_ids = {0, 77, -5};  // ids outside the vocabulary are passed over
  CHECK(ids_of(drawn_ids(job)) == std::vector<int32_t>{1, 2});
  job.start.sampled = {1};
  CHECK(drawn_ids(job)[0] > 1900);
  job.start.sampled.clear();
  job.logits = {9, kNaN, -kInfinity};
  CHECK(ids_of(drawn_ids(job)) == std::vector<int32_t>{1});
}

TEST_CASE("rows of NaN and infinities crash nothing and give the lowest id") {
  SamplingParams params;
  params.logprobs = 5;
  for (const float temperature : {0.0f, 1.0f}) {
    params.temperature = temperature;
    const Job job = job_of({kNaN, kInfinity, -kInfinity, kNaN}, params);
    const SampledToken token = run(test_devices().back(), job);
    CHECK(token.id == 0);
    CHECK(token.logprob == -kInfinity);
    CHECK(token.top.empty());
  }
  params.logit_bias = {{0, 100.0f}, {1, kInfinity}};
  params.repetition_penalty = 1e-30f;
  params.temperature = 1e-4f;
  Job job = job_of({3e38f, 1, 2}, params);
  job.start.sampled = {0, 1};
  CHECK(run(test_devices().back(), job).id == 0);
}

TEST_CASE("penalties count prompt and output tokens as vLLM does") {
  SamplingParams params;
  params.temperature = 0.0f;
  Job job = job_of({2.0f, 1.9f, 1.8f}, params);
  job.start.prompt = {0, 0};
  job.start.sampled = {1, 1};
  const Device device = test_devices().back();
  CHECK(run(device, job).id == 0);
  job.start.params.presence_penalty = 0.5f;  // output tokens only
  CHECK(run(device, job).id == 0);
  job.start.params.repetition_penalty = 1.2f;  // prompt tokens too
  CHECK(run(device, job).id == 2);
  job.start.params.repetition_penalty = 1.0f;
  job.start.params.presence_penalty = 0.0f;
  job.start.params.frequency_penalty = -0.06f;  // 1.9 + 2 * 0.06 > 2
  CHECK(run(device, job).id == 1);
}

TEST_CASE("a sequence that yields and comes back goes on with the tokens it would have had") {
  std::mt19937 rng(9);
  for (int i = 0; i < 20; ++i) {
    Job job = random_job(rng, 500);
    const Device device = test_devices().back();
    SamplerScratch scratch(500);
    SamplerState state = start_sampler(job.start);
    for (int step = 0; step < 10; ++step) {
      std::vector<float> logits = job.logits;
      const int32_t id = sample_row(device, logits, state, scratch).id;
      CHECK(run(device, job).id == id);  // started anew from the tokens so far
      job.start.sampled.push_back(id);
    }
  }
}

TEST_CASE("top_p of near-equal tokens and of few heavy ones keeps what a full sort keeps") {
  std::mt19937 rng(15);
  for (const float spread : {0.0f, 0.01f, 3.0f, 30.0f}) {
    for (const float top_p : {1e-9f, 0.3f, 0.95f, 0.999f, 0.9999999f}) {
      for (int i = 0; i < 20; ++i) {
        Job job;
        for (int id = 0; id < 6000; ++id) job.logits.push_back(spread * uniform(rng));
        job.start.params.top_p = top_p;
        job.start.key = rng();
        CAPTURE(spread);
        CAPTURE(top_p);
        REQUIRE(run(test_devices().back(), job).id == reference_token(job.logits, job.start));
      }
    }
  }
}

TEST_CASE("natural_log agrees with the C library") {
  for (double x = 1e-300; x < 1e300; x *= 1.0137) {
    REQUIRE(natural_log(x) == doctest::Approx(std::log(x)).epsilon(1e-15));
  }
  for (double x = 0.5; x < 2.0; x += 0.000731) {
    REQUIRE(std::abs(natural_log(x) - std::log(x)) <= 3e-16);
  }
  CHECK(natural_log(1.0) == 0.0);
}
