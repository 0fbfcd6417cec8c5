// Sequences in a paged cache for tests of the CUDA attention: what no sequence has written is NaN.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "cuda/attention_plan.h"
#include "cuda/gpu_fixture.h"
#include "kernels/cuda/attention.h"
#include "plan/row_span.h"

namespace prefold::cuda {

struct HeadShape {
  int32_t n_heads;
  int32_t n_kv_heads;
  int32_t head_dim;
};

struct AttentionMode {
  FloatType type = FloatType::kF16;
  int32_t window = 0;
  float soft_cap = 0.0f;
};

struct TestSequence {
  std::vector<int32_t> blocks;
  int32_t n_positions = 0;
};

// The rows of a step, in the words of StepPlan.
struct TestStep {
  std::vector<RowSpan> spans;
  std::vector<int32_t> block_ids;
  std::vector<SharedSegment> segments;
  std::vector<int32_t> positions;
  std::vector<TestSequence> sequences;  // of the spans
  std::vector<float> q;
};

// How a step is cut into items: none of it may change a bit.
struct AttentionCut {
  int32_t n_sms = 1;
  int32_t n_partial_rows = -1;  // -1: as attention_limits says
};

class AttentionBed {
 public:
  AttentionBed(const HeadShape& shape, const AttentionMode& mode, int32_t n_blocks, uint32_t seed)
      : shape_(shape),
        mode_(mode),
        random_(seed),
        k_(int64_t{n_blocks} * block_elements(), NAN),
        v_(k_.size(), NAN) {}

  int32_t q_dim() const { return shape_.n_heads * shape_.head_dim; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(shape_.head_dim)); }

  // A sequence with the parent's first n_shared positions, then new ones. Full blocks are shared, a
  // partly shared one is copied.
  TestSequence grow(const TestSequence& parent, int32_t n_shared, int32_t n_new) {
    TestSequence sequence;
    sequence.n_positions = n_shared + n_new;
    const int32_t n_full = n_shared / kKvBlockTokens;
    sequence.blocks.assign(parent.blocks.begin(), parent.blocks.begin() + n_full);
    while (static_cast<int32_t>(sequence.blocks.size()) * kKvBlockTokens < sequence.n_positions) {
      sequence.blocks.push_back(n_used_blocks_++);
    }
    REQUIRE(int64_t{n_used_blocks_} * block_elements() <= static_cast<int64_t>(k_.size()));
    for (int32_t p = n_full * kKvBlockTokens; p < sequence.n_positions; ++p) {
      for (int32_t i = 0; i < shape_.n_kv_heads * shape_.head_dim; ++i) {
        const int64_t to = element(sequence, p, i / shape_.head_dim, i % shape_.head_dim);
        const bool is_copy = p < n_shared;
        const int64_t from =
            is_copy ? element(parent, p, i / shape_.head_dim, i % shape_.head_dim) : 0;
        k_[to] = is_copy ? k_[from] : value();
        v_[to] = is_copy ? v_[from] : value();
      }
    }
    return sequence;
  }

  // The sequence's last n_rows positions become rows of the step.
  void add_span(TestStep& step, const TestSequence& sequence, int32_t n_rows) {
    RowSpan span;
    span.first_row = static_cast<int32_t>(step.positions.size());
    span.n_rows = n_rows;
    span.first_position = sequence.n_positions - n_rows;
    span.first_block = static_cast<int32_t>(step.block_ids.size());
    span.n_blocks = static_cast<int32_t>(sequence.blocks.size());
    step.spans.push_back(span);
    step.block_ids.insert(step.block_ids.end(), sequence.blocks.begin(), sequence.blocks.end());
    for (int32_t i = 0; i < n_rows; ++i) step.positions.push_back(span.first_position + i);
    for (int32_t i = 0; i < n_rows * q_dim(); ++i) step.q.push_back(value() * 2.0f);
    step.sequences.push_back(sequence);
  }

  // The bits of the output, after a plan of these spans and segments. Rows of no span stay 0xff.
  std::vector<uint8_t> run(const TestStep& step, std::span<const RowSpan> spans,
                           std::span<const SharedSegment> segments,
                           const AttentionCut& cut = {}) const;

  // Largest difference from the definition in double, over every `stride`-th row.
  float largest_error(const TestStep& step, std::span<const uint8_t> out, int32_t stride) const;

 private:
  int64_t block_elements() const {
    return int64_t{shape_.n_kv_heads} * kKvBlockTokens * shape_.head_dim;
  }
  int64_t element(const TestSequence& sequence, int32_t position, int32_t kv_head,
                  int32_t d) const {
    const int64_t block = sequence.blocks[position / kKvBlockTokens];
    const int64_t row =
        (block * shape_.n_kv_heads + kv_head) * kKvBlockTokens + position % kKvBlockTokens;
    return row * shape_.head_dim + d;
  }
  float value() {  // as the kernel sees it
    const float x = std::normal_distribution<float>()(random_);
    return rounded(mode_.type, std::span(&x, 1))[0];
  }
  std::vector<double> defined_row(const TestSequence& sequence, std::span<const float> q,
                                  int32_t position, int32_t head) const;

  HeadShape shape_;
  AttentionMode mode_;
  std::mt19937 random_;
  int32_t n_used_blocks_ = 0;
  std::vector<float> k_, v_;
};

inline std::vector<uint8_t> AttentionBed::run(const TestStep& step, std::span<const RowSpan> spans,
                                              std::span<const SharedSegment> segments,
                                              const AttentionCut& cut) const {
  const auto n_rows = static_cast<int32_t>(step.positions.size());
  const AttentionShape shape = {
      .n_heads = shape_.n_heads,
      .n_kv_heads = shape_.n_kv_heads,
      .tile_rows = attention_tile_rows(mode_.type, shape_.head_dim),
      .window = mode_.window,
      .n_sms = cut.n_sms,
  };
  AttentionLimits limits = attention_limits(n_rows, shape);
  if (cut.n_partial_rows >= 0) limits.n_partial_rows = cut.n_partial_rows;
  std::vector<AttentionItem> items(limits.n_items);
  std::vector<AttentionMerge> merges(limits.n_merges);
  std::vector<int32_t> parts(limits.n_parts);
  AttentionPlanScratch scratch(limits);
  AttentionLists lists = {.items = items, .merges = merges, .parts = parts};
  plan_attention(spans, segments, shape, limits, scratch, lists);

  const DeviceFloats k(mode_.type, k_), v(mode_.type, v_), q(mode_.type, step.q);
  DeviceBuffer<uint8_t> out(step.q.size() * float_bytes(mode_.type));
  out.fill_bytes(0xff);
  const DeviceBuffer<int32_t> positions(step.positions), block_ids(step.block_ids);
  const DeviceBuffer<AttentionItem> device_items(items);
  const DeviceBuffer<AttentionMerge> device_merges(merges);
  const DeviceBuffer<int32_t> device_parts(parts);
  const DeviceBuffer<AttentionCounts> counts(std::span(&lists.counts, 1));
  const size_t n_states = static_cast<size_t>(lists.n_partial_rows) * shape_.n_heads;
  const DeviceBuffer<float> partial_acc(n_states * shape_.head_dim + 1);
  const DeviceBuffer<float> partial_max_sum(n_states * 2 + 1);
  const AttentionArgs args = {
      .type = mode_.type,
      .q = q.data(),
      .out = out.data(),
      .q_stride = q_dim(),
      .out_stride = q_dim(),
      .k = k.data(),
      .v = v.data(),
      .positions = positions.data(),
      .block_ids = block_ids.data(),
      .items = device_items.data(),
      .merges = device_merges.data(),
      .parts = device_parts.data(),
      .counts = counts.data(),
      .max_items = lists.counts.n_items + 2,  // a recorded launch has room for more
      .max_merges = lists.counts.n_merges + 2,
      .partial_acc = partial_acc.data(),
      .partial_max_sum = partial_max_sum.data(),
      .n_heads = shape_.n_heads,
      .n_kv_heads = shape_.n_kv_heads,
      .head_dim = shape_.head_dim,
      .scale = scale(),
      .window = mode_.window,
      .soft_cap = mode_.soft_cap,
      .max_shared_bytes = static_cast<int32_t>(gpu().shared_bytes_per_block),
  };
  check_cuda("preparation of attention",
             prepare_attention(mode_.type, shape_.head_dim, args.max_shared_bytes));
  run_kernel("attention", launch_attention(args, nullptr));
  run_kernel("attention_merge", launch_attention_merge(args, nullptr));
  return out.download();
}

inline std::vector<double> AttentionBed::defined_row(const TestSequence& sequence,
                                                     std::span<const float> q, int32_t position,
                                                     int32_t head) const {
  const int32_t kv_head = head / (shape_.n_heads / shape_.n_kv_heads);
  const int32_t begin = mode_.window > 0 ? std::max(0, position - mode_.window + 1) : 0;
  std::vector<double> weights;
  double largest = -INFINITY;
  for (int32_t p = begin; p <= position; ++p) {
    const float* key = &k_[element(sequence, p, kv_head, 0)];
    double score = 0.0;
    for (int32_t d = 0; d < shape_.head_dim; ++d) score += double{q[d]} * key[d];
    score *= scale();
    if (mode_.soft_cap > 0.0f) score = mode_.soft_cap * std::tanh(score / mode_.soft_cap);
    weights.push_back(score);
    largest = std::max(largest, score);
  }
  double sum = 0.0;
  std::vector<double> out(shape_.head_dim);
  for (int32_t p = begin; p <= position; ++p) {
    const double weight = std::exp(weights[p - begin] - largest);
    const float* value = &v_[element(sequence, p, kv_head, 0)];
    sum += weight;
    for (int32_t d = 0; d < shape_.head_dim; ++d) out[d] += weight * value[d];
  }
  for (double& x : out) x /= sum;
  return out;
}

inline float AttentionBed::largest_error(const TestStep& step, std::span<const uint8_t> out,
                                         int32_t stride) const {
  const std::vector<float> values = decode_floats(mode_.type, out);
  float largest = 0.0f;
  for (size_t s = 0; s < step.spans.size(); ++s) {
    const RowSpan& span = step.spans[s];
    for (int32_t i = span.n_rows - 1; i >= 0; i -= stride) {
      for (int32_t head = 0; head < shape_.n_heads; ++head) {
        const int64_t at = int64_t{span.first_row + i} * q_dim() + head * shape_.head_dim;
        const std::vector<double> expected =
            defined_row(step.sequences[s], std::span(step.q).subspan(at, shape_.head_dim),
                        span.first_position + i, head);
        const std::vector<float> as_floats(expected.begin(), expected.end());
        largest = std::max(
            largest, largest_difference(as_floats, std::span(values).subspan(at, shape_.head_dim)));
      }
    }
  }
  return largest;
}

// Every row a span of its own.
inline std::vector<RowSpan> row_by_row(const TestStep& step) {
  std::vector<RowSpan> rows;
  for (const RowSpan& span : step.spans) {
    for (int32_t i = 0; i < span.n_rows; ++i) {
      rows.push_back(
          {span.first_row + i, 1, span.first_position + i, span.first_block, span.n_blocks});
    }
  }
  return rows;
}

}  // namespace prefold::cuda
