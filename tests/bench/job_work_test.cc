#include "bench/job_work.h"

#include <doctest/doctest.h>

namespace prefold {
namespace {

struct Example {
  PromptStore prompts;
  std::vector<PromptSpec> specs;
  PrefixTree tree;
  Job job;

  Example(const std::vector<std::vector<int32_t>>& tokens, const std::vector<int32_t>& max_tokens)
      : prompts(tokens) {
    tree = build_prefix_tree(prompts);
    for (const int32_t n : max_tokens) specs.push_back({0, n, 0});
    job.prompts = &prompts;
    job.specs = specs;
    job.tree = &tree;
    for (const int32_t prompt : tree.order) job.sequences.push_back({prompt, 0});
  }
};

// A layer of interest, and the last one with a window of one position.
ModelConfig one_layer(int32_t window = 0) {
  ModelConfig model;
  model.layers.push_back({.window = window});
  model.layers.push_back({.window = 1});
  return model;
}

TEST_CASE("a prompt alone: its tokens and all sampled ones but the last go through the layers") {
  const Example example({{1, 2, 3}}, {4});
  const JobWork work = work_of(example.job, one_layer());
  CHECK(work.rows == 3 + 3);
  CHECK(work.read == 4);
  CHECK(work.attended == (1 + 2 + 3 + 4 + 5 + 6) + work.read);
  CHECK(work.sampled == 4);
  CHECK(work.longest == 7);
}

TEST_CASE("a shared prefix counts once, a prompt that is only scored samples nothing") {
  const Example example({{1, 2, 3, 4}, {1, 2, 9}, {1, 2, 3, 4}}, {1, 2, 0});
  const JobWork work = work_of(example.job, one_layer());
  CHECK(work.rows == 2 + 2 + 1 + 1);
  CHECK(work.read == 1 + 1 + 1);  // the last of each prompt that samples, and the sampled one
  CHECK(work.attended == (1 + 2) + (3 + 4) + 3 + 4 + work.read);
  CHECK(work.sampled == 3);
  CHECK(work.longest == 5);
}

TEST_CASE("through a window a row attends to no more than the window's positions") {
  const Example example({{1, 2, 3}}, {4});
  CHECK(work_of(example.job, one_layer(2)).attended == (1 + 2 + 2 + 2 + 2 + 2) + 4);
  CHECK(work_of(example.job, one_layer(4)).attended == (1 + 2 + 3 + 4 + 4 + 4) + 4);
  CHECK(work_of(example.job, one_layer(100)).attended == (1 + 2 + 3 + 4 + 5 + 6) + 4);
  ModelConfig two = one_layer(2);
  two.layers.push_back({});
  CHECK(work_of(example.job, two).attended == 11 + 6 + (3 + 4 + 5 + 6));
}

TEST_CASE("FLOPs are two a multiply-add: matrices by row, keys and values by position, LM head") {
  ModelConfig model;
  model.n_layers = 2;
  model.hidden_size = 8;
  model.n_heads = 4;
  model.n_kv_heads = 2;
  model.head_dim = 3;
  model.ffn_size = 16;
  model.vocab_size = 100;
  const double q = 8 * 12, kv = 8 * 6, ffn = 8 * 16;
  CHECK(flops_of({1, 1, 0, 0, 0}, model) == 2 * 2 * (2 * q + 2 * kv + 3 * ffn));
  CHECK(flops_of({3, 1, 0, 0, 0}, model) == 2 * ((3 + 1) * (2 * q + 3 * ffn) + (3 + 3) * 2 * kv));
  CHECK(flops_of({0, 0, 1, 0, 0}, model) == 2 * 2 * 12);
  CHECK(flops_of({0, 0, 0, 1, 0}, model) == 2 * 8 * 100);
  model.layers.resize(2);
  model.layers[1].is_moe = true;
  model.moe = {10, 3, 5, 7, false, true};
  CHECK(flops_of({1, 1, 0, 0, 0}, model) ==
        2 * (2 * (2 * q + 2 * kv) + 3 * ffn + 8 * 10 + 3 * 8 * (3 * 5 + 7)));
  model.layers[1].is_moe = false;
  model.has_gate = false;
  CHECK(flops_of({1, 1, 0, 0, 0}, model) == 2 * 2 * (2 * q + 2 * kv + 2 * ffn));
}

}  // namespace
}  // namespace prefold
