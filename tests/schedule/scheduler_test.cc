// The scheduler against a model of an engine that knows only tokens: every KV slot remembers which
// prefix it was computed from, so a wrong block, a missing copy or a lost row shows as a wrong
// answer.
#include "schedule/scheduler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>

#include "plan/sampling_key.h"

using namespace prefold;

namespace {

// What one more row makes of a prefix, through an adapter or none.
uint64_t extend(uint64_t prefix_hash, int32_t token, int32_t adapter) {
  const uint64_t mixed = prefix_hash ^ static_cast<uint64_t>(token + 1);
  return mixed * 0x9E3779B97F4A7C15ull + static_cast<uint64_t>(adapter + 2);
}

int32_t next_token(uint64_t prefix_hash, uint64_t key) {
  return static_cast<int32_t>(((prefix_hash ^ key) >> 33) % 150);
}

int32_t score_of(uint64_t prefix_hash, int32_t target) {
  return static_cast<int32_t>((prefix_hash >> 20) % 1000) + target;
}

// Stands for a sum of hidden states, in whose place are hashes of prefixes; order matters.
uint64_t add_to_sum(uint64_t sum, uint64_t prefix_hash) {
  return (sum ^ prefix_hash) * 0xD6E8FEB86659FD93ull + 3;
}

std::vector<float> as_floats(uint64_t value) {
  std::vector<float> parts;
  for (int shift = 0; shift < 64; shift += 16) {
    parts.push_back(static_cast<float>(value >> shift & 0xffff));
  }
  return parts;
}

constexpr int32_t kStopToken = 149;

// Executes plans on hashes of prefixes in the place of keys and values.
class HashEngine {
 public:
  explicit HashEngine(int32_t n_blocks) : kv_(n_blocks * kKvBlockTokens, 0) {}

  StepResult execute(const StepPlan& plan) {
    for (const SlotStart& start : plan.slot_starts) slots_[start.slot] = {start.key, -1};
    for (const BlockCopy& copy : plan.copies) {
      std::copy_n(kv_.begin() + copy.from * kKvBlockTokens, copy.n_tokens,
                  kv_.begin() + copy.to * kKvBlockTokens);
    }
    const std::vector<int32_t> adapter_of_row = adapters_by_row(plan);
    std::vector<uint64_t> hash_of_row(plan.n_rows());
    int32_t next_row = 0;
    for (const RowSpan& span : plan.spans) {
      REQUIRE(span.first_row == next_row);
      next_row += span.n_rows;
      for (int32_t i = 0; i < span.n_rows; ++i) {
        const int32_t row = span.first_row + i;
        const int32_t position = span.first_position + i;
        REQUIRE(plan.positions[row] == position);
        const int32_t token = plan.token_ids[row] == StepPlan::kFromSlot
                                  ? slots_.at(plan.input_slots[row]).last_token
                                  : plan.token_ids[row];
        const uint64_t before = position == 0 ? 0 : *kv_of(plan, span, position - 1);
        hash_of_row[row] = *kv_of(plan, span, position) =
            extend(before, token, adapter_of_row[row]);
      }
    }
    REQUIRE(next_row + plan.n_padding_rows == plan.n_rows());
    check_segments(plan);
    StepResult result{plan.step_idx, {}, {}, {}};
    int32_t last_row = 0;
    for (const SampleRow& sample : plan.samples) {
      CHECK(sample.row >= last_row);
      last_row = sample.row;
      Slot& slot = slots_.at(sample.slot);
      slot.last_token = next_token(hash_of_row[sample.row], slot.key);
      result.samples.push_back({slot.last_token, 0.0f, {}});
    }
    for (const ScoreRow& score : plan.scores) {
      result.scores.push_back(
          {score.target, static_cast<float>(score_of(hash_of_row[score.row], score.target)), {}});
    }
    add_sums(plan, hash_of_row);
    for (const EmbedRow& embed : plan.embeds) {
      result.embeds.push_back(as_floats(
          embed.sum_slot == EmbedRow::kNoSum ? hash_of_row[embed.row] : sums_.at(embed.sum_slot)));
    }
    n_rows_ += plan.n_rows();
    return result;
  }
  int64_t n_rows() const { return n_rows_; }

 private:
  struct Slot {
    uint64_t key = 0;
    int32_t last_token = -1;
  };
  static std::vector<int32_t> adapters_by_row(const StepPlan& plan) {
    std::vector<int32_t> adapters(plan.n_rows(), kNoAdapter);
    int32_t last = kNoAdapter, end_row = 0;
    for (const AdapterRows& rows : plan.adapters) {
      CHECK(rows.adapter > last);  // so none is there twice
      CHECK((rows.n_rows > 0 && rows.first_row >= end_row));
      last = rows.adapter;
      end_row = rows.first_row + rows.n_rows;
      REQUIRE(end_row + plan.n_padding_rows <= plan.n_rows());
      std::fill(adapters.begin() + rows.first_row, adapters.begin() + end_row, rows.adapter);
    }
    return adapters;
  }
  uint64_t* kv_of(const StepPlan& plan, const RowSpan& span, int32_t position) {
    REQUIRE(position / kKvBlockTokens < span.n_blocks);
    const int32_t block = plan.block_ids[span.first_block + position / kKvBlockTokens];
    return &kv_[block * kKvBlockTokens + position % kKvBlockTokens];
  }
  // An engine may make all sums of a step at once: none is read that another one of them writes.
  void add_sums(const StepPlan& plan, const std::vector<uint64_t>& hash_of_row) {
    const std::map<int32_t, uint64_t> before = sums_;
    std::map<int32_t, int> n_writes;
    for (const SumRows& rows : plan.sums) CHECK(++n_writes[rows.slot] == 1);
    for (const SumRows& rows : plan.sums) {
      if (rows.from != rows.slot) CHECK(n_writes.count(rows.from) == 0);
      uint64_t sum = rows.from == SumRows::kFromZero ? 0 : before.at(rows.from);
      for (int32_t i = 0; i < rows.n_rows; ++i) {
        sum = add_to_sum(sum, hash_of_row[rows.first_row + i]);
      }
      sums_[rows.slot] = sum;
    }
  }
  static void check_segments(const StepPlan& plan) {
    for (const SharedSegment& s : plan.segments) {
      for (int32_t i = s.first_span; i < s.first_span + s.n_spans; ++i) {
        CHECK(plan.spans[i].first_position >= s.end_block * kKvBlockTokens);
      }
    }
  }
  std::vector<uint64_t> kv_;
  std::map<int32_t, Slot> slots_;
  std::map<int32_t, uint64_t> sums_;
  int64_t n_rows_ = 0;
};

struct Recorder : StepSink {
  explicit Recorder(size_t n_sequences) : tokens(n_sequences), ended(n_sequences, 0) {}
  bool on_token(int32_t sequence, const SampledToken& token) override {
    CHECK(ended[sequence] == 0);
    tokens[sequence].push_back(token.id);
    return token.id == kStopToken;
  }
  void on_score(int32_t node, int32_t position, const SampledToken& score) override {
    const bool is_new = scores.emplace(std::pair(node, position), score.logprob).second;
    CHECK(is_new);  // once, for all who ask
  }
  void on_embedding(int32_t sequence, const std::vector<float>& pooled) override {
    CHECK(ended[sequence] == 0);
    CHECK(embeddings.emplace(sequence, pooled).second);
  }
  void on_end(int32_t sequence) override { ++ended[sequence]; }
  std::map<int32_t, std::vector<float>> embeddings;
  std::vector<std::vector<int32_t>> tokens;
  std::vector<int> ended;
  std::map<std::pair<int32_t, int32_t>, float> scores;
};

struct TestJob {
  std::vector<std::vector<int32_t>> prompts;
  std::vector<int32_t> adapters;  // by prompt, or empty
  PromptStore store;
  std::vector<PromptSpec> specs;
  ParameterSets parameters;
  PrefixTree tree;
  Job job;

  void finish(bool shared = true) {
    store = PromptStore(prompts);
    tree = shared ? build_prefix_tree(store, adapters) : flat_tree(store, adapters);
    specs.resize(prompts.size());
    job.prompts = &store;
    job.specs = specs;
    job.parameters = &parameters;
    job.tree = &tree;
    job.score_top.resize(prompts.size(), -1);
  }
  // Once for each prompt.
  void add_sequences(int32_t prompt, int32_t n, int32_t max_tokens, bool ignore_eos = false) {
    ParameterSet set;
    set.params.ignore_eos = ignore_eos;
    specs[prompt] = {uint64_t{77} * (prompt + 1), max_tokens, parameters.add(set)};
    for (int32_t choice = 0; choice < n; ++choice) job.sequences.push_back({prompt, choice});
    std::vector<int32_t> place(prompts.size());
    for (size_t i = 0; i < tree.order.size(); ++i) place[tree.order[i]] = static_cast<int32_t>(i);
    std::ranges::stable_sort(job.sequences, {},
                             [&](const SequenceSpec& s) { return place[s.prompt]; });
  }
  void add_sequence(int32_t prompt, int32_t max_tokens, bool ignore_eos = false) {
    add_sequences(prompt, 1, max_tokens, ignore_eos);
  }
  void set_ignore_eos(bool ignore_eos) {
    ParameterSet set;
    set.params.ignore_eos = ignore_eos;
    for (PromptSpec& spec : specs) spec.parameters = parameters.add(set);
  }
  int32_t adapter_of(int32_t prompt) const {
    return adapters.empty() ? kNoAdapter : adapters[prompt];
  }
  std::vector<int32_t> expected(const SequenceSpec& sequence) const {
    const auto [prompt, choice] = sequence;
    const int32_t adapter = adapter_of(prompt);
    uint64_t hash = 0;
    for (int32_t token : prompts[prompt]) hash = extend(hash, token, adapter);
    std::vector<int32_t> tokens;
    while (static_cast<int32_t>(tokens.size()) < specs[prompt].max_tokens) {
      tokens.push_back(next_token(hash, sampling_key(specs[prompt].key, choice)));
      if (tokens.back() == kStopToken) break;
      hash = extend(hash, tokens.back(), adapter);
    }
    return tokens;
  }
  bool embeds(int32_t prompt) const { return !job.embeds.empty() && job.embeds[prompt]; }
  std::vector<float> expected_embedding(int32_t prompt) const {
    uint64_t hash = 0, sum = 0;
    for (int32_t token : prompts[prompt]) {
      hash = extend(hash, token, adapter_of(prompt));
      sum = add_to_sum(sum, hash);
    }
    return as_floats(job.pooling == Pooling::kMean ? sum : hash);
  }
  int32_t blocks_of_largest() const {
    int32_t most = 0;
    for (const SequenceSpec& s : job.sequences) {
      const auto n_prompt = static_cast<int32_t>(prompts[s.prompt].size());
      most = std::max(most, blocks_for(n_prompt + specs[s.prompt].max_tokens, kKvBlockTokens));
    }
    return most;
  }
  int32_t most_sequences_of_a_node() const {
    std::map<int32_t, int32_t> counts;
    int32_t most = 0;
    for (const SequenceSpec& s : job.sequences) {
      most = std::max(most, ++counts[tree.node_of_prompt[s.prompt]]);
    }
    return most;
  }
};

// Runs with the given number of steps in flight; checks every answer and that all memory is free
// at the end.
ScheduleCounters run(TestJob& test, const ScheduleLimits& limits, int32_t depth,
                     Recorder& recorder) {
  Scheduler scheduler(test.job, limits);
  HashEngine engine(limits.n_blocks);
  std::deque<StepResult> in_flight;
  int64_t n_steps = 0;
  while (!scheduler.done() || !in_flight.empty()) {
    while (!scheduler.done() && static_cast<int32_t>(in_flight.size()) < depth) {
      const StepPlan plan = scheduler.next_step();
      CHECK(plan.n_rows() <= limits.token_budget);
      for (const SlotStart& start : plan.slot_starts) CHECK(start.slot < limits.n_slots);
      in_flight.push_back(engine.execute(plan));
    }
    scheduler.commit(in_flight.front(), recorder);
    in_flight.pop_front();
    REQUIRE(++n_steps < 200000);
  }
  for (size_t i = 0; i < test.job.sequences.size(); ++i) {
    CHECK(recorder.ended[i] == 1);
    CHECK(recorder.tokens[i] == test.expected(test.job.sequences[i]));
    if (!test.embeds(test.job.sequences[i].prompt)) continue;
    CHECK(recorder.embeddings.at(static_cast<int32_t>(i)) ==
          test.expected_embedding(test.job.sequences[i].prompt));
  }
  const ScheduleCounters& c = scheduler.counters();
  CHECK(scheduler.pool().n_used() == 0);
  if (!limits.policy.lru_prefix_cache) {
    CHECK(c.prefill_rows == prefix_stats(test.tree).n_tree_tokens);
  }
  if (!limits.policy.padded_prefill) CHECK(c.padding_rows == 0);
  if (depth == 1) {
    CHECK(engine.n_rows() == c.prefill_rows + c.decode_rows + c.recomputed_rows + c.padding_rows);
  }
  for (size_t p = 0; p < test.prompts.size(); ++p) {
    if (test.job.score_top[p] < 0) continue;
    uint64_t hash = 0;
    int32_t node = test.tree.node_of_prompt[p];
    for (size_t i = 0; i < test.prompts[p].size(); ++i) {
      const int32_t position = static_cast<int32_t>(i);
      node = test.tree.node_of_prompt[p];
      while (test.tree.nodes[node].depth_begin > position) node = test.tree.nodes[node].parent;
      if (i > 0) CHECK(recorder.scores.at({node, position}) == score_of(hash, test.prompts[p][i]));
      hash = extend(hash, test.prompts[p][i], test.adapter_of(static_cast<int32_t>(p)));
    }
  }
  return c;
}

TestJob random_job(std::mt19937& random, bool shared = true) {
  TestJob test;
  const auto below = [&](int n) { return static_cast<int>(random() % n); };
  const int n_prompts = 1 + below(30);
  for (int p = 0; p < n_prompts; ++p) {
    std::vector<int32_t> prompt;
    if (p > 0 && below(4) > 0) {  // starts like an earlier one
      const auto& other = test.prompts[below(p)];
      prompt.assign(other.begin(), other.begin() + below(static_cast<int>(other.size()) + 1));
    }
    for (int n = below(below(3) == 0 ? 150 : 20) + (prompt.empty() ? 1 : 0); n > 0; --n) {
      prompt.push_back(below(3));
    }
    test.prompts.push_back(prompt);
  }
  if (const int n_adapters = below(4); n_adapters > 0) {
    for (int p = 0; p < n_prompts; ++p) test.adapters.push_back(below(n_adapters + 1) - 1);
  }
  test.finish(shared);
  test.job.embeds.resize(n_prompts);
  test.job.pooling = below(2) == 0 ? Pooling::kLast : Pooling::kMean;
  for (int p = 0; p < n_prompts; ++p) {
    if (below(5) == 0) {
      test.job.embeds[p] = true;
      test.add_sequence(p, 0);
      continue;
    }
    test.add_sequences(p, below(5) == 0 ? 1 + below(5) : 1,
                       below(8) == 0 ? below(3) : below(below(2) ? 60 : 500), below(5) == 0);
    if (below(4) == 0) test.job.score_top[p] = below(3);
  }
  return test;
}

}  // namespace

TEST_CASE("a shared prefix is computed once, and a step mixes decodes with prefill") {
  TestJob test;
  for (int p = 0; p < 20; ++p) {
    std::vector<int32_t> prompt(100, 1);
    prompt.push_back(p + 5);
    for (int i = 0; i < p; ++i) prompt.push_back(3);
    test.prompts.push_back(prompt);
  }
  test.finish();
  for (int p = 0; p < 20; ++p) test.add_sequence(p, 10);
  Recorder recorder(test.job.sequences.size());
  const ScheduleCounters c = run(test, {64, 1000, {}}, 1, recorder);
  CHECK(c.prefill_rows == 100 + 20 + 190);
  CHECK(c.recomputed_rows == 0);
  CHECK(c.n_yields == 0);
  CHECK(c.copied_tokens == 19 * (100 % kKvBlockTokens));  // the last dependent takes the original
}

TEST_CASE("answers do not depend on budget, memory, slots, policy or steps in flight") {
  std::mt19937 random(7);
  int64_t n_yields = 0, n_recomputed = 0, n_reused = 0, n_padding = 0;
  for (int round = 0; round < 800; ++round) {
    SchedulePolicy policy;
    policy.chunked_prefill = random() % 3 > 0;
    policy.length_prediction = random() % 3 > 0;
    policy.padded_prefill = !policy.chunked_prefill && random() % 2 == 0;
    policy.shared_attention = random() % 3 > 0;
    policy.lru_prefix_cache = random() % 3 == 0;
    TestJob test = random_job(random, !policy.lru_prefix_cache && random() % 4 > 0);
    const int32_t budgets[] = {1, 3, 16, 64, 1000};
    const int32_t slack[] = {0, 1, 3, 8, 500};
    ScheduleLimits limits{budgets[random() % 5], test.blocks_of_largest() + slack[random() % 5],
                          policy};
    if (random() % 2) limits.n_slots = test.most_sequences_of_a_node() + slack[random() % 4];
    Recorder recorder(test.job.sequences.size());
    const ScheduleCounters c = run(test, limits, 1 + static_cast<int32_t>(random() % 3), recorder);
    n_yields += c.n_yields;
    n_recomputed += c.recomputed_rows;
    n_padding += c.padding_rows;
    if (policy.lru_prefix_cache) n_reused += prefix_stats(test.tree).n_tree_tokens - c.prefill_rows;
  }
  CHECK(n_yields > 20);  // the small pools were small enough to matter
  CHECK(n_recomputed > 100);
  CHECK(n_reused > 1000);
  CHECK(n_padding > 1000);
}

TEST_CASE("without chunked prefill no step mixes decodes with prefill") {
  std::mt19937 random(9);
  for (int round = 0; round < 30; ++round) {
    TestJob test = random_job(random);
    SchedulePolicy policy;
    policy.chunked_prefill = false;
    Scheduler scheduler(test.job, {200, 5000, policy});
    HashEngine engine(5000);
    Recorder recorder(test.job.sequences.size());
    while (!scheduler.done()) {
      const StepPlan plan = scheduler.next_step();
      const auto n_decodes =
          std::count(plan.token_ids.begin(), plan.token_ids.end(), StepPlan::kFromSlot);
      CHECK((n_decodes == 0 || n_decodes == plan.n_rows()));
      scheduler.commit(engine.execute(plan), recorder);
    }
  }
}

TEST_CASE("with enough memory nothing yields and nothing is computed twice") {
  std::mt19937 random(8);
  for (int round = 0; round < 50; ++round) {
    TestJob test = random_job(random);
    Recorder recorder(test.job.sequences.size());
    const ScheduleCounters c = run(test, {256, 5000, {}}, 1, recorder);
    CHECK(c.n_yields == 0);
    CHECK(c.recomputed_rows == 0);
  }
}

TEST_CASE("padded: the prompts of a step take as many rows as the longest of them") {
  TestJob test;
  for (const int n : {30, 10, 20, 40, 5}) {
    test.prompts.emplace_back(n, 1);
    test.prompts.back().front() = 10 + static_cast<int32_t>(test.prompts.size());
  }
  test.finish();
  for (int p = 0; p < 5; ++p) test.add_sequence(p, 1);
  SchedulePolicy policy;
  policy.chunked_prefill = false;
  policy.padded_prefill = true;
  Scheduler scheduler(test.job, {100, 1000, policy});
  HashEngine engine(1000);
  Recorder recorder(5);
  std::vector<std::pair<int32_t, int32_t>> rows;  // of a step: with padding, padding
  while (!scheduler.done()) {
    const StepPlan plan = scheduler.next_step();
    rows.emplace_back(plan.n_rows(), plan.n_padding_rows);
    scheduler.commit(engine.execute(plan), recorder);
  }
  // 3 x 30 rows for 30, 10 and 20; then 2 x 40 for 40 and 5.
  CHECK(rows == std::vector<std::pair<int32_t, int32_t>>{{90, 30}, {80, 35}});
  CHECK(scheduler.counters().padding_rows == 65);
}

TEST_CASE("packed: every step is full while there are prompts left") {
  std::mt19937 random(12);
  for (int round = 0; round < 20; ++round) {
    TestJob test;
    for (int p = 0; p < 60; ++p) {
      test.prompts.emplace_back(1 + random() % 150, 1);
      test.prompts.back().front() = 10 + p;  // nothing is shared
    }
    test.finish();
    int64_t n_tokens = 0;
    for (int p = 0; p < 60; ++p) {
      test.add_sequence(p, 1 + static_cast<int32_t>(random() % 20));
      n_tokens += std::ssize(test.prompts[p]);
    }
    Scheduler scheduler(test.job, {128, 5000, {}});
    HashEngine engine(5000);
    Recorder recorder(60);
    while (!scheduler.done()) {
      const StepPlan plan = scheduler.next_step();
      if (scheduler.counters().prefill_rows < n_tokens) CHECK(plan.n_rows() == 128);
      scheduler.commit(engine.execute(plan), recorder);
    }
  }
}

TEST_CASE("whole prompts, which are not cut, are packed close to the token budget") {
  std::mt19937 random(13);
  int64_t n_steps = 0, n_least = 0;
  for (int round = 0; round < 20; ++round) {
    TestJob test;
    int64_t n_tokens = 0;
    for (int p = 0; p < 100; ++p) {
      test.prompts.emplace_back(1 + random() % 400, 1);
      test.prompts.back().front() = 10 + p;
      n_tokens += std::ssize(test.prompts.back());
    }
    test.finish();
    for (int p = 0; p < 100; ++p) test.add_sequence(p, 1);
    SchedulePolicy policy;
    policy.chunked_prefill = false;
    Recorder recorder(100);
    n_steps += run(test, {512, 5000, policy}, 1, recorder).n_steps;
    n_least += (n_tokens + 511) / 512;
  }
  CHECK(static_cast<double>(n_steps) < 1.1 * static_cast<double>(n_least));
}

namespace {

// The same sequences over a tree without sharing.
TestJob without_sharing(const TestJob& test) {
  TestJob flat;
  flat.prompts = test.prompts;
  flat.adapters = test.adapters;
  flat.finish(false);
  flat.specs = test.specs;
  flat.job.specs = flat.specs;
  flat.parameters = test.parameters;
  for (const int32_t prompt : flat.tree.order) {
    for (const SequenceSpec& sequence : test.job.sequences) {
      if (sequence.prompt == prompt) flat.job.sequences.push_back(sequence);
    }
  }
  return flat;
}

int64_t rows_of(const ScheduleCounters& c) {
  return c.prefill_rows + c.decode_rows + c.recomputed_rows;
}

}  // namespace

TEST_CASE(
    "in a pool that holds one request, a block is lent and nothing is copied or computed twice") {
  TestJob test;
  for (int p = 0; p < 24; ++p) {  // prefixes of 20, 45 and 50 tokens: two end in one block
    std::vector<int32_t> prompt(20, 1);
    prompt.insert(prompt.end(), 25, 2 + p / 12);
    prompt.insert(prompt.end(), 5, 4 + p / 4 % 3);
    prompt.push_back(10 + p);
    test.prompts.push_back(prompt);
  }
  test.finish();
  for (int p = 0; p < 24; ++p) test.add_sequence(p, 45, true);
  REQUIRE(test.blocks_of_largest() == 3);
  Recorder recorder(24);
  const ScheduleCounters c = run(test, {64, 3, {}}, 2, recorder);
  CHECK(c.recomputed_rows == 0);
  CHECK(c.copied_tokens == 0);
}

TEST_CASE("the tree computes no more than a block cache does, however small the pool") {
  std::mt19937 random(15);
  int64_t n_tree = 0, n_lru = 0, n_again = 0;
  for (int round = 0; round < 600; ++round) {
    TestJob test = random_job(random);
    const bool lengths_are_known = round % 2 == 0;
    test.set_ignore_eos(lengths_are_known);
    std::fill(test.job.score_top.begin(), test.job.score_top.end(), -1);  // a cache skips such rows
    TestJob flat = without_sharing(test);
    const int32_t budgets[] = {1, 16, 64, 1000};
    const int32_t slack[] = {0, 1, 3, 8, 20};
    ScheduleLimits limits{
        budgets[random() % 4], test.blocks_of_largest() + slack[random() % 5], {}};
    const int32_t depth = 1 + static_cast<int32_t>(random() % 2);
    Recorder recorder(test.job.sequences.size()), flat_recorder(test.job.sequences.size());
    const ScheduleCounters tree = run(test, limits, depth, recorder);
    limits.policy.lru_prefix_cache = true;
    const ScheduleCounters lru = run(flat, limits, depth, flat_recorder);
    if (lengths_are_known) {
      CHECK(tree.recomputed_rows == 0);
      CHECK(rows_of(tree) <= rows_of(lru));
    } else {
      n_tree += rows_of(tree);
      n_lru += rows_of(lru);
      n_again += tree.recomputed_rows;
    }
  }
  CHECK(n_again > 0);  // some predictions were wrong
  CHECK(n_tree < n_lru);
}

TEST_CASE("nothing yields or is given up while predictions hold") {
  std::mt19937 random(14);
  for (int round = 0; round < 400; ++round) {
    TestJob test = random_job(random, random() % 4 > 0);
    test.set_ignore_eos(true);
    for (PromptSpec& spec : test.specs) {  // stopping is earlier than predicted
      spec.max_tokens = std::min(spec.max_tokens, 1 + static_cast<int32_t>(random() % 200));
    }
    SchedulePolicy policy;
    policy.chunked_prefill = random() % 3 > 0;
    policy.padded_prefill = !policy.chunked_prefill && random() % 2 == 0;
    const int32_t budgets[] = {1, 16, 64, 1000};
    const int32_t slack[] = {0, 1, 3, 8, 20};
    const ScheduleLimits limits{budgets[random() % 4],
                                test.blocks_of_largest() + slack[random() % 5], policy};
    Recorder recorder(test.job.sequences.size());
    const ScheduleCounters c = run(test, limits, 1 + static_cast<int32_t>(random() % 3), recorder);
    CHECK(c.n_yields == 0);
    CHECK(c.recomputed_rows == 0);
  }
}

namespace {

// A sequence with so many tokens, of 300 that it may have.
void add_sequence_of_length(TestJob& test, int32_t prompt, int32_t n_tokens) {
  test.add_sequence(prompt, 300);
  while (std::ssize(test.expected({prompt, 0})) != n_tokens) ++test.specs[prompt].key;
}

}  // namespace

TEST_CASE("when predictions were too short, the sequence with the fewest tokens yields") {
  TestJob test;
  for (const int32_t n : {32, 320, 32}) {  // prefill of the second one lets the first one get ahead
    test.prompts.emplace_back(n, n + static_cast<int32_t>(test.prompts.size()));
  }
  test.finish();
  for (int p = 0; p < 3; ++p) add_sequence_of_length(test, p, 300);
  // Enough for all three up to the 128 tokens that are predicted, not up to 300.
  const ScheduleLimits limits{33, 1 + 10 + 1 + 3 * 5 + 3, {}};
  Scheduler scheduler(test.job, limits);
  HashEngine engine(limits.n_blocks);
  Recorder recorder(3);
  std::vector<int> order_of_ends;
  int64_t n_yields = 0;
  while (!scheduler.done()) {
    const StepPlan plan = scheduler.next_step();
    if (scheduler.counters().n_yields > n_yields) {
      n_yields = scheduler.counters().n_yields;
      // The one that has most is still there: its row is a decode.
      const auto most =
          std::max_element(recorder.tokens.begin(), recorder.tokens.end(),
                           [](const auto& a, const auto& b) { return a.size() < b.size(); });
      const int32_t n_prompt =
          static_cast<int32_t>(test.prompts[most - recorder.tokens.begin()].size());
      const int32_t position = n_prompt + static_cast<int32_t>(most->size()) - 1;
      CHECK(std::count_if(plan.spans.begin(), plan.spans.end(), [&](const RowSpan& span) {
              return span.n_rows == 1 && span.first_position == position;
            }) == 1);
    }
    scheduler.commit(engine.execute(plan), recorder);
    for (int i = 0; i < 3; ++i) {
      if (recorder.ended[i] &&
          std::find(order_of_ends.begin(), order_of_ends.end(), i) == order_of_ends.end()) {
        order_of_ends.push_back(i);
      }
    }
  }
  CHECK(n_yields > 0);
  CHECK(order_of_ends.front() == 0);  // it was ahead, and never gave way
  for (int i = 0; i < 3; ++i) CHECK(recorder.tokens[i] == test.expected(test.job.sequences[i]));
}

TEST_CASE("what a prior says about a group is expected before anything has finished") {
  const auto run_with = [](bool with_prior) {
    TestJob test;
    for (int p = 0; p < 24; ++p) {
      test.prompts.push_back({p % 2, 2 + p, 1});
    }
    test.finish();
    for (int p = 0; p < 24; ++p) add_sequence_of_length(test, p, p % 2 ? 300 : 10);
    if (with_prior) {
      test.job.length_prior.groups.resize(2);
      test.job.length_prior.groups[0].add(10, 20, 0);
      test.job.length_prior.groups[1].add(300, 0, 20);
    }
    Recorder recorder(24);
    return run(test, {64, 40, {}}, 1, recorder);
  };
  const ScheduleCounters without = run_with(false);
  CHECK(without.n_yields > 0);
  CHECK(without.n_under_predicted > 0);
  CHECK(without.prediction_error_tokens > 12 * (128 - 10));
  CHECK(without.n_predicted == 24);
  const ScheduleCounters with = run_with(true);
  CHECK(with.n_yields == 0);
  CHECK(with.n_under_predicted == 0);
  CHECK(with.prediction_error_tokens == 0);
}

TEST_CASE("told to stop, it starts nothing, ends what runs, and every answer told is whole") {
  std::mt19937 random(21);
  int64_t n_stopped_early = 0, n_ended_after = 0;
  for (int round = 0; round < 300; ++round) {
    SchedulePolicy policy;
    policy.chunked_prefill = random() % 3 > 0;
    policy.length_prediction = random() % 3 > 0;
    TestJob test = random_job(random, random() % 4 > 0);
    const int32_t budgets[] = {1, 3, 16, 64, 1000};
    const int32_t slack[] = {0, 1, 3, 8, 500};
    const ScheduleLimits limits{budgets[random() % 5],
                                test.blocks_of_largest() + slack[random() % 5], policy};
    const auto depth = static_cast<size_t>(1 + random() % 3);
    Recorder recorder(test.job.sequences.size());
    Scheduler scheduler(test.job, limits);
    HashEngine engine(limits.n_blocks);
    std::deque<StepResult> in_flight;
    const int64_t stop_at = static_cast<int64_t>(random() % 60);
    std::vector<size_t> n_tokens_at_stop;
    for (int64_t step = 0; !scheduler.done() || !in_flight.empty(); ++step) {
      if (step == stop_at) {
        scheduler.stop_admitting();
        for (const auto& tokens : recorder.tokens) n_tokens_at_stop.push_back(tokens.size());
      }
      while (!scheduler.done() && in_flight.size() < depth) {
        const StepPlan plan = scheduler.next_step();
        if (step >= stop_at) CHECK(plan.n_rows() + std::ssize(in_flight) > 0);
        in_flight.push_back(engine.execute(plan));
      }
      if (in_flight.empty()) break;
      scheduler.commit(in_flight.front(), recorder);
      in_flight.pop_front();
      REQUIRE(step < 200000);
    }
    for (size_t i = 0; i < test.job.sequences.size(); ++i) {
      const std::vector<int32_t> expected = test.expected(test.job.sequences[i]);
      REQUIRE(recorder.tokens[i].size() <= expected.size());
      CHECK(std::equal(recorder.tokens[i].begin(), recorder.tokens[i].end(), expected.begin()));
      if (recorder.ended[i] == 1) CHECK(recorder.tokens[i].size() == expected.size());
      n_stopped_early += recorder.ended[i] == 0;
      if (n_tokens_at_stop.empty()) continue;
      n_ended_after += recorder.ended[i] == 1 && recorder.tokens[i].size() > n_tokens_at_stop[i];
    }
  }
  CHECK(n_stopped_early > 500);
  CHECK(n_ended_after > 500);
}
