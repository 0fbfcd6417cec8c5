#include "ops/attention.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>

// The scalar form of the vector operations: this file is compiled without vector instructions.
#define KERNEL_ISA attention_test
#include "kernels/cpu/simd.h"
#include "kernels/reference/attention.h"
#include "kernels/reference/attention_int8.h"
#include "ops/attention_fixture.h"

namespace prefold {
namespace {

constexpr HeadShape kShapes[] = {
    {4, 4, 64}, {8, 2, 64}, {16, 2, 80}, {9, 3, 64},   {12, 1, 96}, {8, 2, 128},
    {4, 4, 80}, {9, 3, 96}, {12, 1, 64}, {16, 2, 128}, {2, 1, 256}, {6, 2, 40},
};

// The arithmetic of f32 and that of integer products.
struct Mode {
  KvType type;
  Precision precision;
};
constexpr Mode kModes[] = {{KvType::kF32, Precision::kExact}, {KvType::kInt8, Precision::kFast}};

Device device_of(ThreadPool& pool, Precision precision = Precision::kExact) {
  return {&pool, &find_cpu_kernels("auto"), precision};
}

// Members over a shared prefix, some of them over a second, nested one; then sequences without any.
TestStep random_step(AttentionFixture& fixture, const Device& device, int32_t longest_prefix) {
  TestStep step;
  for (int group = 0; group < 2; ++group) {
    const int32_t n_prefix = std::min(fixture.pick({0, 64, 100, 256, 1000}), longest_prefix);
    const int32_t n_inner = fixture.pick({0, 32, 70});
    const int32_t n_members = fixture.pick({1, 2, 7, 16});
    const TestSequence outer = fixture.grow({}, 0, n_prefix, 0);
    const TestSequence inner = fixture.grow(outer, n_prefix, n_inner, 0);
    if (n_prefix > 0) fixture.append(device, outer, 0);
    if (n_inner > 0) fixture.append(device, inner, n_prefix / kKvBlockTokens * kKvBlockTokens);

    const int32_t first_span = static_cast<int32_t>(step.spans.size());
    const int32_t n_outer_members = n_members / 2;  // these come before the inner ones
    for (int32_t i = 0; i < n_members; ++i) {
      const TestSequence& parent = i < n_outer_members ? outer : inner;
      const int32_t n_own = fixture.pick({0, 1, 64, 129});
      const int32_t n_rows = fixture.pick({1, 1, 1, n_own + 1});
      TestSequence member = fixture.grow(parent, parent.n_positions, n_own + 1, n_rows);
      fixture.append(device, member, parent.n_positions / kKvBlockTokens * kKvBlockTokens);
      fixture.add_span(step, std::move(member));
    }
    const int32_t outer_end = n_prefix / kKvBlockTokens;
    const int32_t inner_end = inner.n_positions / kKvBlockTokens;
    if (outer_end > 0) step.segments.push_back({0, outer_end, first_span, n_members});
    if (outer_end > 0 && inner_end > outer_end && n_members > n_outer_members) {
      step.segments.push_back(
          {outer_end, inner_end, first_span + n_outer_members, n_members - n_outer_members});
    }
  }
  return step;
}

std::vector<RowSpan> row_by_row(const TestStep& step) {
  std::vector<RowSpan> rows;
  for (const RowSpan& span : step.spans) {
    for (int32_t i = 0; i < span.n_rows; ++i) {
      rows.push_back(
          {span.first_row + i, 1, span.first_position + i, span.first_block, span.n_blocks});
    }
  }
  return rows;
}

// Each row in a call of its own.
std::vector<float> run_row_by_row(const AttentionFixture& fixture, const Device& device,
                                  const TestStep& step) {
  std::vector<float> out;
  for (const RowSpan& row : row_by_row(step)) {
    const std::vector<float> part = fixture.run(device, step, {&row, 1}, {});
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

float exp_of(float x) { return attention_test::exp(attention_test::broadcast(x)).v[0]; }
float weight_of(float x) {
  return attention_test::exp_nonpositive(attention_test::broadcast(x)).v[0];
}

using State = reference::SoftmaxState;

// The positions [begin, end) of one chunk in f32, of those not before first_seen, as
// ops/attention.h has it word for word.
State f32_chunk(std::span<const float> q, const float* k, const float* v, int64_t stride,
                int32_t begin, int32_t end, int32_t first_seen, const AttentionRule& rule) {
  using namespace attention_test;
  State state{-INFINITY, 0.0f, std::vector<float>(q.size(), 0.0f)};
  for (int32_t tile = begin; tile < end; tile += kKvBlockTokens) {
    const int32_t n = std::min(kKvBlockTokens, end - tile);
    const int32_t first = std::max(first_seen - tile, 0);
    if (first >= n) continue;
    float w[kKvBlockTokens] = {};
    float new_max = state.max;
    for (int32_t j = first; j < n; ++j) {
      for (size_t d = 0; d < q.size(); ++d) {
        w[j] = std::fma(q[d] * rule.scale, k[(tile + j) * stride + d], w[j]);
      }
      if (rule.softcap != 0.0f) {
        w[j] = rule.softcap * tanh(broadcast(w[j] * (1.0f / rule.softcap))).v[0];
      }
      new_max = std::max(new_max, w[j]);
    }
    const float correction = weight_of(state.max - new_max);
    for (int32_t j = first; j < n; ++j) w[j] = weight_of(w[j] - new_max);
    state.max = new_max;
    state.sum = state.sum * correction + sum_lanes(load(w) + load(w + 16));
    for (size_t d = 0; d < q.size(); ++d) {
      state.acc[d] = state.acc[d] * correction;
      for (int32_t j = first; j < n; ++j) {
        state.acc[d] = std::fma(w[j], v[(tile + j) * stride + d], state.acc[d]);
      }
    }
  }
  return state;
}

// One row and head of the definition; k, v: the KV head's columns.
std::vector<float> defined_attention(const Mode& mode, std::span<const float> q, const float* k,
                                     const float* v, int64_t stride, int32_t position,
                                     const AttentionRule& rule) {
  const int32_t first_seen = rule.window == 0 ? 0 : std::max(position - rule.window + 1, 0);
  const int32_t head_dim = static_cast<int32_t>(q.size());
  reference::Int8Rows k_rows, v_rows;
  if (mode.type == KvType::kInt8) {
    k_rows = reference::quantise_kv(k, stride, position + 1, head_dim);
    v_rows = reference::quantise_kv(v, stride, position + 1, head_dim);
  }
  State total;
  for (int32_t chunk = 0; chunk <= position; chunk += kAttentionChunk) {
    const int32_t end = std::min(chunk + kAttentionChunk, position + 1);
    const State state = mode.type == KvType::kInt8
                            ? reference::attention_int8(q, k_rows, v_rows, chunk, end, rule.scale,
                                                        rule.softcap, first_seen)
                            : f32_chunk(q, k, v, stride, chunk, end, first_seen, rule);
    if (end <= first_seen) continue;
    if (chunk <= first_seen) {
      total = state;
      continue;
    }
    const float new_max = std::max(total.max, state.max);
    const float a = exp_of(total.max - new_max);
    const float b = exp_of(state.max - new_max);
    total.max = new_max;
    total.sum = total.sum * a + state.sum * b;
    for (int32_t d = 0; d < head_dim; ++d) total.acc[d] = total.acc[d] * a + state.acc[d] * b;
  }
  for (float& value : total.acc) value = value * (1.0f / total.sum);
  return total.acc;
}

// Checks every stride-th row of `out` against the definition, bit by bit.
void check_defined(const Mode& mode, const AttentionFixture& fixture, const TestStep& step,
                   std::span<const float> out, int32_t stride) {
  const HeadShape& shape = fixture.shape();
  const int64_t kv_stride = int64_t{shape.n_kv_heads} * shape.head_dim;
  for (size_t s = 0; s < step.spans.size(); ++s) {
    const RowSpan& span = step.spans[s];
    for (int32_t i = 0; i < span.n_rows; ++i) {
      if ((span.first_row + i) % stride != 0) continue;
      for (int32_t head = 0; head < shape.n_heads; ++head) {
        const int64_t at =
            int64_t{span.first_row + i} * fixture.q_dim() + int64_t{head} * shape.head_dim;
        const int64_t column = int64_t{head / (shape.n_heads / shape.n_kv_heads)} * shape.head_dim;
        const std::vector<float> expected = defined_attention(
            mode, std::span(step.q).subspan(at, shape.head_dim),
            step.sequences[s].k.data() + column, step.sequences[s].v.data() + column, kv_stride,
            span.first_position + i, fixture.rule());
        CHECK(same_bits(expected, out.subspan(at, shape.head_dim)));
      }
    }
  }
}

}  // namespace

TEST_CASE("attention: shared segments, flat, row by row and any thread count give the same bits") {
  ThreadPool pool_one(1);
  ThreadPool pool_two(2);
  ThreadPool pool_five(5);
  uint32_t seed = 1;
  for (size_t i = 0; i < std::size(kModes) * std::size(kShapes); ++i) {
    const auto& [type, precision] = kModes[i / std::size(kShapes)];
    const HeadShape& shape = kShapes[i % std::size(kShapes)];
    CAPTURE(static_cast<int>(type));
    CAPTURE(shape.n_heads);
    CAPTURE(shape.head_dim);
    AttentionFixture fixture(shape, type, 400, seed++);
    const Device one = device_of(pool_one, precision);
    const Device two = device_of(pool_two, precision);
    const Device five = device_of(pool_five, precision);
    const TestStep step = random_step(fixture, two, 1000);
    const std::vector<float> expected = fixture.run(one, step, step.spans, step.segments);
    CHECK(same_bits(expected, fixture.run(one, step, step.spans, {})));
    CHECK(same_bits(expected, fixture.run(two, step, step.spans, step.segments)));
    CHECK(same_bits(expected, fixture.run(five, step, step.spans, step.segments)));
    CHECK(same_bits(expected, fixture.run(five, step, step.spans, {})));
    // A segment cut in two, one inside the other, is the same as one.
    std::vector<SharedSegment> cut;
    for (const SharedSegment& segment : step.segments) {
      const int32_t middle = (segment.begin_block + segment.end_block + 1) / 2;
      cut.push_back({segment.begin_block, middle, segment.first_span, segment.n_spans});
      if (middle < segment.end_block) {
        cut.push_back({middle, segment.end_block, segment.first_span, segment.n_spans});
      }
    }
    CHECK(same_bits(expected, fixture.run(two, step, step.spans, cut)));
    CHECK(same_bits(expected, run_row_by_row(fixture, two, step)));
    CHECK(same_bits(expected, fixture.run(two, step, row_by_row(step), {})));
  }
}

TEST_CASE("attention: every instruction set gives the bits of the definition") {
  ThreadPool pool(2);
  uint32_t seed = 100;
  for (size_t i = 0; i < std::size(kModes) * std::size(kShapes); ++i) {
    const Mode& mode = kModes[i / std::size(kShapes)];
    const HeadShape& shape = kShapes[i % std::size(kShapes)];
    CAPTURE(static_cast<int>(mode.type));
    CAPTURE(shape.n_heads);
    CAPTURE(shape.head_dim);
    AttentionFixture fixture(shape, mode.type, 120, seed++);
    const TestStep step = random_step(fixture, device_of(pool), 100);
    for (const CpuKernels* kernels : available_cpu_kernels()) {
      CAPTURE(kernels->isa);
      const std::vector<float> out =
          fixture.run({&pool, kernels, mode.precision}, step, step.spans, step.segments);
      check_defined(mode, fixture, step, out, kernels->isa == "scalar" ? 40 : 10);
      CHECK(same_bits(out, fixture.run(device_of(pool, mode.precision), step, step.spans, {})));
    }
  }
}

TEST_CASE("attention: the answer is close to that of double precision") {
  ThreadPool pool(2);
  uint32_t seed = 200;
  for (size_t i = 0; i < std::size(kModes) * std::size(kShapes); ++i) {
    const auto& [type, precision] = kModes[i / std::size(kShapes)];
    const HeadShape& shape = kShapes[i % std::size(kShapes)];
    const Device device = device_of(pool, precision);
    AttentionFixture fixture(shape, type, 400, seed++);
    const TestStep step = random_step(fixture, device, 1000);
    const std::vector<float> out = fixture.run(device, step, step.spans, step.segments);
    for (size_t s = 0; s < step.spans.size(); ++s) {
      const RowSpan& span = step.spans[s];
      const int64_t last_row = span.first_row + span.n_rows - 1;
      const std::vector<double> expected = reference::attention(
          std::span(step.q).subspan(last_row * fixture.q_dim(), fixture.q_dim()),
          step.sequences[s].k, step.sequences[s].v, step.sequences[s].n_positions, shape.n_heads,
          shape.n_kv_heads, shape.head_dim, fixture.scale());
      double worst = 0.0;
      for (int32_t d = 0; d < fixture.q_dim(); ++d) {
        worst = std::max(worst, std::abs(expected[d] - out[last_row * fixture.q_dim() + d]));
      }
      CHECK(worst < (precision == Precision::kExact ? 1e-5 : 3e-2));  // of values up to 1
    }
  }
}

TEST_CASE("attention: contexts over several chunks do not depend on splits and segments") {
  ThreadPool one(1);
  ThreadPool eight(8);
  for (const Mode& mode : kModes) {
    AttentionFixture fixture({6, 2, 64}, mode.type, 700, 300);
    const Device device = device_of(one, mode.precision);
    const TestSequence prefix = fixture.grow({}, 0, 4500, 0);
    fixture.append(device, prefix, 0);
    TestStep step;
    for (const int32_t n_own : {1, 40, 2100, 8}) {
      TestSequence member = fixture.grow(prefix, 4500, n_own, n_own == 40 ? 40 : 1);
      fixture.append(device, member, 4480);
      fixture.add_span(step, std::move(member));
    }
    // Prefill across the boundary of a chunk, and a row at each side of one.
    for (const auto& [n_positions, n_rows] :
         {std::pair{2100, 110}, {2048, 1}, {2049, 1}, {4096, 1}}) {
      TestSequence lone =
          fixture.grow(prefix, std::min(2000, n_positions - n_rows) / 32 * 32,
                       n_positions - std::min(2000, n_positions - n_rows) / 32 * 32, n_rows);
      fixture.append(device, lone, std::min(2000, n_positions - n_rows) / 32 * 32);
      fixture.add_span(step, std::move(lone));
    }
    const std::vector<float> expected = fixture.run(device, step, step.spans, {});
    check_defined(mode, fixture, step, expected, 7);
    for (const int32_t outer_end : {3, 64, 100, 128, 140}) {
      CAPTURE(outer_end);
      std::vector<SharedSegment> segments{{0, outer_end, 0, 4}};
      if (outer_end < 140) segments.push_back({outer_end, 140, 1, 2});
      CHECK(same_bits(expected, fixture.run(device, step, step.spans, segments)));
      CHECK(same_bits(expected,
                      fixture.run(device_of(eight, mode.precision), step, step.spans, segments)));
    }
    CHECK(same_bits(expected, run_row_by_row(fixture, device_of(eight, mode.precision), step)));
  }
}

TEST_CASE("attention: windows and soft-caps, by segments, flat, row by row and on any threads") {
  ThreadPool one(1);
  ThreadPool five(5);
  uint32_t seed = 700;
  for (const auto& [window, softcap] : {std::pair{0, 2.0f},
                                        {1, 0.0f},
                                        {31, 0.0f},
                                        {48, 1.5f},
                                        {64, 0.0f},
                                        {150, 3.0f},
                                        {900, 0.0f}}) {
    // Each window with a fifth of the modes and shapes, another one each time.
    const size_t first = seed % 5;
    for (size_t i = first; i < std::size(kModes) * std::size(kShapes); i += 5) {
      const Mode& mode = kModes[i / std::size(kShapes)];
      const HeadShape& shape = kShapes[i % std::size(kShapes)];
      CAPTURE(window);
      CAPTURE(static_cast<int>(mode.type));
      CAPTURE(shape.n_heads);
      CAPTURE(shape.head_dim);
      AttentionFixture fixture(shape, mode.type, 400, seed + static_cast<uint32_t>(i));
      fixture.window = window;
      fixture.softcap = softcap;
      const TestStep step = random_step(fixture, device_of(one), 1000);
      const Device device = device_of(five, mode.precision);
      const std::vector<float> expected =
          fixture.run(device_of(one, mode.precision), step, step.spans, step.segments);
      check_defined(mode, fixture, step, expected, 13);
      CHECK(same_bits(expected, fixture.run(device, step, step.spans, step.segments)));
      CHECK(same_bits(expected, fixture.run(device, step, step.spans, {})));
      CHECK(same_bits(expected, run_row_by_row(fixture, device, step)));
      CHECK(same_bits(expected, fixture.run(device, step, row_by_row(step), {})));
      for (const CpuKernels* kernels : available_cpu_kernels()) {
        CAPTURE(kernels->isa);
        const Device other{&five, kernels, mode.precision};
        if (i / 5 % 5 != 0 && kernels->isa == "scalar") continue;  // slow
        CHECK(same_bits(expected, fixture.run(other, step, step.spans, step.segments)));
      }
    }
    ++seed;
  }
}

TEST_CASE("attention: windows over several chunks do not depend on splits and segments") {
  ThreadPool one(1);
  ThreadPool eight(8);
  for (const Mode& mode : kModes) {
    for (const int32_t window : {70, 2000, 2048, 2500, 4300}) {
      CAPTURE(window);
      AttentionFixture fixture({6, 2, 64}, mode.type, 700, 300);
      fixture.window = window;
      const Device device = device_of(one, mode.precision);
      const TestSequence prefix = fixture.grow({}, 0, 4500, 0);
      fixture.append(device, prefix, 0);
      TestStep step;
      for (const int32_t n_own : {1, 40, 2100, 8}) {
        TestSequence member = fixture.grow(prefix, 4500, n_own, n_own == 40 ? 40 : 1);
        fixture.append(device, member, 4480);
        fixture.add_span(step, std::move(member));
      }
      const std::vector<float> expected = fixture.run(device, step, step.spans, {});
      check_defined(mode, fixture, step, expected, 7);
      for (const int32_t outer_end : {3, 64, 100, 128, 140}) {
        CAPTURE(outer_end);
        std::vector<SharedSegment> segments{{0, outer_end, 0, 4}};
        if (outer_end < 140) segments.push_back({outer_end, 140, 1, 2});
        CHECK(same_bits(expected, fixture.run(device, step, step.spans, segments)));
        CHECK(same_bits(expected,
                        fixture.run(device_of(eight, mode.precision), step, step.spans, segments)));
      }
      CHECK(same_bits(expected, run_row_by_row(fixture, device_of(eight, mode.precision), step)));
    }
  }
}

TEST_CASE("attention: what lies before a row's window is not read into its answer") {
  ThreadPool pool(2);
  for (const Mode& mode : kModes) {
    const Device device = device_of(pool, mode.precision);
    AttentionFixture fixture({8, 2, 64}, mode.type, 40, 900);
    fixture.window = 48;
    TestStep step;
    fixture.add_span(step, fixture.grow({}, 0, 150, 20));
    TestSequence& sequence = step.sequences[0];
    fixture.append(device, sequence, 0);
    const std::vector<float> expected = fixture.run(device, step, step.spans, {});
    // The rows from position 137 on see nothing before 90.
    for (int32_t i = 0; i < 90 * 2 * 64; ++i) sequence.v[i] = INFINITY;
    fixture.append(device, sequence, 0);
    const std::vector<float> got = fixture.run(device, step, step.spans, {});
    const int32_t from = 7 * fixture.q_dim();
    CHECK(same_bits(std::span(expected).subspan(from), std::span(got).subspan(from)));
  }
}

TEST_CASE("attention: with a window and a cap the answer is close to that of double precision") {
  ThreadPool pool(2);
  uint32_t seed = 1000;
  for (size_t i = 0; i < std::size(kModes) * std::size(kShapes); ++i) {
    const auto& [type, precision] = kModes[i / std::size(kShapes)];
    const HeadShape& shape = kShapes[i % std::size(kShapes)];
    const Device device = device_of(pool, precision);
    AttentionFixture fixture(shape, type, 400, seed++);
    fixture.window = 100;
    fixture.softcap = 2.0f;
    const TestStep step = random_step(fixture, device, 1000);
    const std::vector<float> out = fixture.run(device, step, step.spans, step.segments);
    for (size_t s = 0; s < step.spans.size(); ++s) {
      const RowSpan& span = step.spans[s];
      const int64_t last_row = span.first_row + span.n_rows - 1;
      const int32_t n_positions = step.sequences[s].n_positions;
      const std::vector<double> expected = reference::attention(
          std::span(step.q).subspan(last_row * fixture.q_dim(), fixture.q_dim()),
          step.sequences[s].k, step.sequences[s].v, n_positions, shape.n_heads, shape.n_kv_heads,
          shape.head_dim, fixture.scale(), 2.0, std::max(n_positions - 100, 0));
      double worst = 0.0;
      for (int32_t d = 0; d < fixture.q_dim(); ++d) {
        worst = std::max(worst, std::abs(expected[d] - out[last_row * fixture.q_dim() + d]));
      }
      CHECK(worst < (precision == Precision::kExact ? 1e-5 : 3e-2));  // of values up to 1
    }
  }
}

TEST_CASE("attention: a prompt gives the same bits whatever the chunks of its prefill") {
  ThreadPool pool(2);
  for (const Mode& mode : kModes) {
    const Device device = device_of(pool, mode.precision);
    AttentionFixture fixture({9, 3, 64}, mode.type, 40, 400);
    TestStep step;
    fixture.add_span(step, fixture.grow({}, 0, 333, 333));
    fixture.append(device, step.sequences[0], 0);
    const std::vector<float> expected = fixture.run(device, step, step.spans, {});
    for (const int32_t chunk : {1, 5, 32, 77, 200}) {
      CAPTURE(chunk);
      std::vector<float> out;
      for (int32_t row = 0; row < 333; row += chunk) {
        const RowSpan span{row, std::min(chunk, 333 - row), row, 0, step.spans[0].n_blocks};
        const std::vector<float> part = fixture.run(device, step, {&span, 1}, {});
        out.insert(out.end(), part.begin(), part.end());
      }
      CHECK(same_bits(expected, out));
    }
  }
}

TEST_CASE("attention: narrow KV types are read as stored, alike on every instruction set") {
  ThreadPool pool(2);
  for (const KvType type : {KvType::kF16, KvType::kBF16, KvType::kInt8}) {
    CAPTURE(static_cast<int>(type));
    AttentionFixture fixture({8, 2, 80}, type, 200, 500);
    TestStep step = random_step(fixture, device_of(pool), 256);
    const std::vector<float> expected =
        fixture.run(device_of(pool), step, step.spans, step.segments);
    CHECK(same_bits(expected, run_row_by_row(fixture, device_of(pool), step)));
    for (const CpuKernels* kernels : available_cpu_kernels()) {
      CAPTURE(kernels->isa);
      CHECK(same_bits(expected, fixture.run({&pool, kernels}, step, step.spans, {})));
    }
    const double tolerance =
        type == KvType::kF16 ? 2e-3 : 2e-2;  // 2^-11, 2^-9 and 1/254 relative, through the softmax
    for (size_t s = 0; s < step.spans.size(); ++s) {
      const RowSpan& span = step.spans[s];
      const int64_t last_row = span.first_row + span.n_rows - 1;
      const std::vector<double> exact = reference::attention(
          std::span(step.q).subspan(last_row * fixture.q_dim(), fixture.q_dim()),
          step.sequences[s].k, step.sequences[s].v, step.sequences[s].n_positions, 8, 2, 80,
          fixture.scale());
      for (int32_t i = 0; i < fixture.q_dim(); ++i) {
        CHECK(std::abs(exact[i] - expected[last_row * fixture.q_dim() + i]) < tolerance);
      }
    }
  }
}

TEST_CASE("kv_copy: the first positions of a block, and nothing of the rest") {
  ThreadPool pool(2);
  const Device device = device_of(pool);
  for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kInt8}) {
    CAPTURE(static_cast<int>(type));
    AttentionFixture fixture({6, 2, 40}, type, 4, 600);
    TestStep step;
    fixture.add_span(step, fixture.grow({}, 0, 45, 1));
    TestSequence& sequence = step.sequences[0];
    fixture.append(device, sequence, 0);
    const std::vector<float> expected = fixture.run(device, step, step.spans, {});
    // The second block moves to another place; positions past the 13 used ones stay as they were.
    kv_copy(device, std::array{BlockCopy{sequence.blocks[1], 3, 13}}, std::array{fixture.kv()});
    TestStep moved = step;
    moved.block_ids[1] = 3;
    CHECK(same_bits(expected, fixture.run(device, moved, moved.spans, {})));
    const size_t block_bytes = kv_block_bytes(type, 2, 40);
    const bool in_quads = type == KvType::kInt8;
    const size_t key_bytes = in_quads ? 4 : kv_element_bytes(type);
    const auto value_at = [&](size_t j) {
      return in_quads ? j / 4 * 4 * 48 + j % 4 : j * 48 * kv_element_bytes(type);
    };
    const std::byte* values = fixture.kv().v + 3 * block_bytes;
    CHECK(values[value_at(12)] != std::byte{0xff});
    CHECK(values[value_at(13)] == std::byte{0xff});
    const std::byte* keys = fixture.kv().k + 3 * block_bytes;
    CHECK(keys[12 * key_bytes] != std::byte{0xff});
    CHECK(keys[13 * key_bytes] == std::byte{0xff});
  }
}

}  // namespace prefold
