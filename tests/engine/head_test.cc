// The fused head gives, to the bit, the samples and scores of rows of logits computed as a whole.
#include "engine/head.h"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>

#include "engine/cpu_engine.h"
#include "random_weights.h"
#include "sampling_fixture.h"

using namespace prefold;

namespace {

constexpr int32_t kHidden = 64;
constexpr int32_t kInputs = 50;  // the tokens that rows may have as their input

// A model without layers: the hidden state of a row is the embedding of its token.
struct Model {
  ModelConfig config;
  Weights weights;
  std::vector<RopeTable> rope_tables;
};

// `strange`: what the head's rows are: 0 random, 1 with many ties, 2 some that give NaN and
// infinities, 3 none that gives a finite logit.
Model make_model(int32_t n_vocab, TensorType type, int strange, ThreadPool& pool,
                 std::mt19937& rng) {
  Model model;
  ModelConfig& config = model.config;
  config.hidden_size = kHidden;
  config.n_heads = config.n_kv_heads = 1;
  config.head_dim = kHidden;
  config.ffn_size = kHidden;
  config.vocab_size = n_vocab;
  config.context_length = 64;
  config.norm_eps = 1e-5f;
  const auto pack = [&](TensorType t, std::span<const std::byte> bytes, int32_t n_out) {
    return PackedMatrix(t, bytes, n_out, kHidden, pool);
  };
  const std::vector<float> inputs = random_floats(kInputs * kHidden, rng);
  model.weights.token_embedding = pack(TensorType::kF32, std::as_bytes(std::span(inputs)), kInputs);
  model.weights.final_norm.weight = random_floats(kHidden, rng);
  if (type != TensorType::kF32) {
    model.weights.lm_head =
        pack(type, random_stored(type, int64_t{n_vocab} * kHidden, rng), n_vocab);
    return model;
  }
  std::vector<float> head = random_floats(static_cast<size_t>(n_vocab) * kHidden, rng);
  for (int32_t id = 0; id < n_vocab; ++id) {
    float* row = &head[static_cast<size_t>(id) * kHidden];
    if (strange == 1 && id % 3 > 0) std::copy_n(&head[0], kHidden, row);
    if (strange == 3 || (strange == 2 && uniform(rng) < 0.3f)) {
      row[rng() % kHidden] = one_of({kNaN, kInfinity, -kInfinity}, rng);
    }
  }
  model.weights.lm_head = pack(type, std::as_bytes(std::span(head)), n_vocab);
  return model;
}

// What is asked after the rows of a step, and the requests that the slots answer.
struct Work {
  std::vector<Start> starts;  // by slot
  StepPlan plan;
};

// Returns the row.
int32_t add_row(Work& work, std::mt19937& rng) {
  work.plan.token_ids.push_back(static_cast<int32_t>(rng() % kInputs));
  work.plan.input_slots.push_back(0);
  work.plan.positions.push_back(0);
  return work.plan.n_rows() - 1;
}

void ask_for_samples_and_scores(Work& work, int32_t n_rows, int32_t n_vocab, std::mt19937& rng) {
  int32_t slot = 0;
  while (work.plan.n_rows() < n_rows) {
    const int32_t row = add_row(work, rng);
    const int32_t n_samples = static_cast<int32_t>(one_of({0, 1, 1, 1, 3}, rng));
    for (int32_t i = 0; i < n_samples; ++i) work.plan.samples.push_back({row, slot++});
    const int32_t n_scores = static_cast<int32_t>(one_of({0, 0, 0, 1, 2}, rng));
    for (int32_t i = 0; i < n_scores; ++i) {
      work.plan.scores.push_back({row, static_cast<int32_t>(rng() % static_cast<uint32_t>(n_vocab)),
                                  static_cast<int32_t>(rng() % 6)});
    }
  }
  for (int32_t s = 0; s < slot; ++s) {
    Start start = random_start(rng, n_vocab);
    if (uniform(rng) < 0.5f) start.params.temperature = 0.0f;
    if (uniform(rng) < 0.2f) start.params.logprobs = static_cast<int32_t>(rng() % 21);
    if (uniform(rng) < 0.1f) {  // everything masked
      start.params.min_tokens = 2;
      for (int32_t id = 0; id < n_vocab; ++id) start.stop_ids.push_back(id);
    }
    work.starts.push_back(start);
  }
}

// Rows of logits as a whole: (n_rows, n_vocab).
std::vector<std::vector<float>> whole_rows(const Device& device, const Model& model,
                                           const StepPlan& plan) {
  const int32_t n_rows = plan.n_rows();
  const int32_t n_vocab = model.config.vocab_size;
  std::vector<float> hidden(static_cast<size_t>(n_rows) * kHidden);
  const Rows x{hidden.data(), n_rows, kHidden, kHidden};
  gather_rows(device, model.weights.token_embedding, plan.token_ids, x);
  norm(device, x, {NormKind::kRms, model.config.norm_eps, model.weights.final_norm.weight, {}}, x);
  std::vector<float> logits(static_cast<size_t>(n_rows) * n_vocab);
  std::vector<std::byte> scratch(linear_scratch_bytes(device, n_rows, kHidden));
  linear(device, x,
         std::array{
             LinearPart{&model.weights.output(), {}, {logits.data(), n_rows, n_vocab, n_vocab}}},
         scratch);
  std::vector<std::vector<float>> rows;
  for (int32_t r = 0; r < n_rows; ++r) {
    rows.emplace_back(logits.begin() + int64_t{r} * n_vocab,
                      logits.begin() + int64_t{r + 1} * n_vocab);
  }
  return rows;
}

bool same_bits(const SampledToken& a, const SampledToken& b) {
  return a.id == b.id && std::memcmp(&a.logprob, &b.logprob, sizeof(float)) == 0 && a.top == b.top;
}

struct Limits {
  int32_t n_rows = 1;
  int32_t n_steps = 1;
  Precision precision = Precision::kExact;
};

// Runs the same slots for some steps, fused and as a whole. Returns how many samples were compared.
int32_t check_fused(const Model& model, const Limits& limits, const Work& work) {
  const int32_t n_vocab = model.config.vocab_size;
  ThreadPool one(1);
  ThreadPool two(2);
  ThreadPool five(5);
  int32_t n_compared = 0;
  for (const CpuKernels* kernels : available_cpu_kernels()) {
    const Device plain{&one, kernels, limits.precision};
    const std::vector<std::vector<float>> rows = whole_rows(plain, model, work.plan);
    for (ThreadPool* pool : {&one, &two, &five}) {
      CAPTURE(std::string(kernels->isa));
      CAPTURE(pool->n_threads());
      KvStorage kv({KvType::kF32, 1, 1, kHidden}, 1);
      CpuEngine engine({pool, kernels, limits.precision}, model.config, model.weights,
                       model.rope_tables, kv, limits.n_rows);
      SamplerScratch scratch(n_vocab);
      std::vector<Start> starts = work.starts;
      std::vector<SamplerState> states;
      StepPlan plan = work.plan;
      for (int32_t slot = 0; slot < std::ssize(starts); ++slot) {
        const Start& start = work.starts[slot];
        plan.slot_starts.push_back({slot, &start.params, start.stop_ids, start.prompt, start.key});
        states.push_back(start_sampler(start));
      }
      for (int32_t step = 0; step < limits.n_steps; ++step) {
        CAPTURE(step);
        engine.submit(plan);
        const StepResult result = engine.wait();
        plan.slot_starts.clear();
        for (size_t k = 0; k < plan.samples.size(); ++k) {
          CAPTURE(k);
          const auto [row, slot] = plan.samples[k];
          REQUIRE(result.samples[k].id == reference_token(rows[row], starts[slot]));
          starts[slot].sampled.push_back(result.samples[k].id);
          std::vector<float> logits = rows[row];
          REQUIRE(same_bits(result.samples[k], sample_row(plain, logits, states[slot], scratch)));
          ++n_compared;
        }
        for (size_t k = 0; k < plan.scores.size(); ++k) {
          CAPTURE(k);
          const auto [row, target, n_top] = plan.scores[k];
          REQUIRE(same_bits(result.scores[k],
                            with_logprobs_of_row(plain, rows[row], target, n_top, scratch)));
        }
      }
    }
  }
  return n_compared;
}

int32_t check_fused(const Model& model, const Limits& limits, std::mt19937& rng) {
  Work work;
  ask_for_samples_and_scores(work, limits.n_rows, model.config.vocab_size, rng);
  return check_fused(model, limits, work);
}

}  // namespace

TEST_CASE("fused samples and scores equal those of whole rows for random mixes of parameters") {
  std::mt19937 rng(31);
  ThreadPool pool(1);
  int32_t n_compared = 0;
  for (const int32_t n_vocab : {1, 7, 256, 300, 1040, 2500}) {
    for (const int strange : {0, 1, 2, 3}) {
      CAPTURE(n_vocab);
      CAPTURE(strange);
      const Model model = make_model(n_vocab, TensorType::kF32, strange, pool, rng);
      n_compared += check_fused(model, {12, 3}, rng);
    }
  }
  CHECK(n_compared > 500);
}

TEST_CASE("more rows than are kept at a time take several passes and give the same bits") {
  std::mt19937 rng(32);
  ThreadPool pool(1);
  const Model model = make_model(700, TensorType::kF32, 1, pool, rng);
  static_assert(Head::kMaxKeptRows < 150 / 2);
  check_fused(model, {150, 2}, rng);
}

TEST_CASE("quantised heads in both precisions give the bits of whole rows") {
  std::mt19937 rng(33);
  ThreadPool pool(1);
  for (const Precision precision : {Precision::kExact, Precision::kFast}) {
    for (const TensorType type : {TensorType::kQ4_1, TensorType::kQ8_0}) {
      const Model model = make_model(1500, type, 0, pool, rng);
      check_fused(model, {40, 2, precision}, rng);
    }
  }
}

TEST_CASE("every kind of sample with and without log-probabilities equals whole rows") {
  std::mt19937 rng(35);
  ThreadPool pool(1);
  const Model model = make_model(1100, TensorType::kF32, 1, pool, rng);
  Work work;
  for (const float temperature : {0.0f, 0.8f}) {
    for (const int32_t top_k : {0, 1, 40, 128, 129}) {
      for (const float top_p : {1.0f, 0.95f}) {
        for (const int32_t n_top : {-1, 0, 5, 20}) {
          Start start = random_start(rng, 1100);
          start.params.temperature = temperature;
          start.params.top_k = top_k;
          start.params.top_p = top_p;
          start.params.logprobs.reset();
          if (n_top >= 0) start.params.logprobs = n_top;
          const auto slot = static_cast<int32_t>(work.starts.size());
          work.plan.samples.push_back({add_row(work, rng), slot});
          work.starts.push_back(start);
        }
      }
    }
  }
  check_fused(model, {work.plan.n_rows(), 3}, work);
}

TEST_CASE("a step that asks for nothing has no result") {
  std::mt19937 rng(34);
  ThreadPool pool(1);
  const Model model = make_model(30, TensorType::kF32, 0, pool, rng);
  KvStorage kv({KvType::kF32, 1, 1, kHidden}, 1);
  CpuEngine engine({&pool, available_cpu_kernels().back()}, model.config, model.weights,
                   model.rope_tables, kv, 4);
  StepPlan plan;
  plan.token_ids = {1, 2};
  plan.input_slots = {0, 0};
  plan.positions = {0, 0};
  engine.submit(plan);
  const StepResult result = engine.wait();
  CHECK(result.samples.empty());
  CHECK(result.scores.empty());
}
