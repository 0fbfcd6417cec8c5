// A KV pool with random sequences for the attention tests. Every byte that no token of a sequence
// wrote is NaN, so whatever reads it shows.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "ops/attention.h"

namespace prefold {

struct HeadShape {
  int32_t n_heads;
  int32_t n_kv_heads;
  int32_t head_dim;
};

// One sequence: its keys and values before rounding, (n_positions, n_kv_heads * head_dim), and the
// blocks that hold them. The last n_rows positions are this step's rows.
struct TestSequence {
  std::vector<float> k;
  std::vector<float> v;
  std::vector<int32_t> blocks;
  int32_t n_positions = 0;
  int32_t n_rows = 0;
};

struct TestStep {
  std::vector<TestSequence> sequences;  // one a span
  std::vector<RowSpan> spans;
  std::vector<int32_t> block_ids;
  std::vector<SharedSegment> segments;
  std::vector<float> q;
  int32_t n_rows = 0;
};

class AttentionFixture {
 public:
  AttentionFixture(HeadShape shape, KvType type, int32_t n_blocks, uint32_t seed)
      : shape_(shape), rng_(seed), n_blocks_(n_blocks) {
    const size_t floats = kv_block_bytes(type, shape.n_kv_heads, shape.head_dim) * n_blocks / 4;
    // Quiet NaN in f32; in f16 and bf16 the upper half is one; int8 has NaN scales.
    k_.assign(floats, nan());
    v_.assign(floats, nan());
    kv_ = {type,
           shape.n_kv_heads,
           shape.head_dim,
           reinterpret_cast<std::byte*>(k_.data()),
           reinterpret_cast<std::byte*>(v_.data()),
           kv_block_bytes(type, shape.n_kv_heads, shape.head_dim)};
  }

  // Of the rule that `run` follows.
  float softcap = 0.0f;
  int32_t window = 0;

  const KvLayer& kv() const { return kv_; }
  const HeadShape& shape() const { return shape_; }
  AttentionRule rule() const { return {scale(), softcap, window}; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(shape_.head_dim)); }
  int32_t n_used_blocks() const { return n_used_; }

  // A sequence that continues the first n_shared positions of `parent`, sharing their full blocks.
  TestSequence grow(const TestSequence& parent, int32_t n_shared, int32_t n_more, int32_t n_rows) {
    TestSequence sequence;
    const int64_t kv_dim = int64_t{shape_.n_kv_heads} * shape_.head_dim;
    sequence.n_positions = n_shared + n_more;
    sequence.n_rows = n_rows;
    sequence.k.assign(parent.k.begin(), parent.k.begin() + n_shared * kv_dim);
    sequence.v.assign(parent.v.begin(), parent.v.begin() + n_shared * kv_dim);
    for (int64_t i = 0; i < n_more * kv_dim; ++i) {
      sequence.k.push_back(random());
      sequence.v.push_back(random());
    }
    const int32_t n_full = n_shared / kKvBlockTokens;
    sequence.blocks.assign(parent.blocks.begin(), parent.blocks.begin() + n_full);
    while (static_cast<int32_t>(sequence.blocks.size()) * kKvBlockTokens < sequence.n_positions) {
      sequence.blocks.push_back(n_used_++);
      REQUIRE(n_used_ <= n_blocks_);
    }
    return sequence;
  }

  // Writes the positions that do not lie in blocks taken over from another sequence.
  void append(const Device& device, const TestSequence& sequence, int32_t from) const {
    const int32_t kv_dim = shape_.n_kv_heads * shape_.head_dim;
    const int32_t n = sequence.n_positions - from;
    const RowSpan span{0, n, from, 0, static_cast<int32_t>(sequence.blocks.size())};
    kv_append(device, ConstRows(sequence.k.data() + int64_t{from} * kv_dim, n, kv_dim, kv_dim),
              ConstRows(sequence.v.data() + int64_t{from} * kv_dim, n, kv_dim, kv_dim), {&span, 1},
              sequence.blocks, kv_);
  }

  void add_span(TestStep& step, TestSequence sequence) {
    step.spans.push_back({step.n_rows, sequence.n_rows, sequence.n_positions - sequence.n_rows,
                          static_cast<int32_t>(step.block_ids.size()),
                          static_cast<int32_t>(sequence.blocks.size())});
    step.block_ids.insert(step.block_ids.end(), sequence.blocks.begin(), sequence.blocks.end());
    step.n_rows += sequence.n_rows;
    for (int64_t i = 0; i < int64_t{sequence.n_rows} * q_dim(); ++i) {
      step.q.push_back(4.0f * random());
    }
    step.sequences.push_back(std::move(sequence));
  }

  std::vector<float> run(const Device& device, const TestStep& step, std::span<const RowSpan> spans,
                         std::span<const SharedSegment> segments) const {
    const int32_t first = spans.front().first_row;
    std::vector<RowSpan> shifted(spans.begin(), spans.end());
    int32_t n_rows = 0;
    for (RowSpan& span : shifted) {
      span.first_row -= first;
      n_rows += span.n_rows;
    }
    const size_t bytes =
        attention_scratch_bytes(device, n_rows, shape_.n_heads, shape_.head_dim) + 64;
    const auto memory = std::make_unique<std::byte[]>(bytes);
    void* aligned = memory.get();
    size_t room = bytes;
    std::align(64, bytes - 64, aligned, room);
    // What an op leaves in scratch memory must not matter.
    std::memset(aligned, 0xff, bytes - 64);
    std::vector<float> out(int64_t{n_rows} * q_dim(), nan());
    attention(device, ConstRows(step.q.data() + int64_t{first} * q_dim(), n_rows, q_dim(), q_dim()),
              kv_, shifted, step.block_ids, segments, rule(),
              {static_cast<std::byte*>(aligned), bytes - 64},
              Rows{out.data(), n_rows, q_dim(), q_dim()});
    return out;
  }

  int32_t q_dim() const { return shape_.n_heads * shape_.head_dim; }
  float random() { return std::uniform_real_distribution<float>(-1.0f, 1.0f)(rng_); }
  int32_t pick(std::initializer_list<int32_t> values) {
    return values.begin()[rng_() % values.size()];
  }

 private:
  static float nan() {
    float value;
    const uint32_t bits = 0xffffffffu;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }

  HeadShape shape_;
  std::mt19937 rng_;
  int32_t n_blocks_;
  int32_t n_used_ = 0;
  std::vector<float> k_;
  std::vector<float> v_;
  KvLayer kv_;
};

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace prefold
