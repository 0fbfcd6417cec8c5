#include "kernels/cuda/attention.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <tuple>

#include "cuda/attention_fixture.h"

namespace prefold::cuda {
namespace {

constexpr std::array<std::array<int32_t, 2>, 5> kHeads = {
    {{4, 4}, {8, 2}, {16, 2}, {9, 3}, {12, 1}}};
constexpr std::array<int32_t, 8> kHeadDims = {64, 128, 80, 96, 256, 16, 32, 48};
constexpr std::array<int32_t, 1> kRareHeadDims = {112};
constexpr std::array<int32_t, 5> kPrefixes = {0, 64, 100, 256, 1000};
constexpr std::array<int32_t, 4> kOwn = {0, 1, 64, 129};
constexpr std::array<int32_t, 4> kMembers = {1, 2, 7, 16};
enum RowKind { kDecode, kPrefill, kMixed, kRowKinds };

// One place in each of these lists; rare head sizes lie behind the others.
using Choice = std::array<int32_t, 6>;
constexpr Choice kChoices = {kHeads.size(), kHeadDims.size(), kPrefixes.size(),
                             kOwn.size(),   kMembers.size(),  kRowKinds};

float tolerance(FloatType type) {
  return type == FloatType::kF16 ? 2e-3f : type == FloatType::kBf16 ? 1e-2f : 1e-5f;
}

// Members over a prefix with tokens of their own, between two lone sequences.
void check_choice(FloatType type, const Choice& choice, uint32_t seed) {
  const auto [n_heads, n_kv_heads] = kHeads[choice[0]];
  const HeadShape shape = {n_heads, n_kv_heads,
                           choice[1] < std::ssize(kHeadDims)
                               ? kHeadDims[choice[1]]
                               : kRareHeadDims[choice[1] - std::ssize(kHeadDims)]};
  const int32_t n_prefix = kPrefixes[choice[2]];
  const int32_t n_own = kOwn[choice[3]];
  const int32_t n_members = kMembers[choice[4]];
  CAPTURE(static_cast<int>(type));
  CAPTURE(n_heads);
  CAPTURE(n_kv_heads);
  CAPTURE(shape.head_dim);
  CAPTURE(n_prefix);
  CAPTURE(n_own);
  CAPTURE(n_members);
  CAPTURE(choice[5]);

  AttentionBed bed(shape, {.type = type}, 60 + n_members * 7, seed);
  TestStep step;
  bed.add_span(step, bed.grow({}, 0, 3), 3);
  const TestSequence prefix = bed.grow({}, 0, n_prefix);
  for (int32_t i = 0; i < n_members; ++i) {
    const bool is_prefill = choice[5] == kPrefill || (choice[5] == kMixed && i % 2 == 1);
    bed.add_span(step, bed.grow(prefix, n_prefix, n_own + 1), is_prefill ? n_own + 1 : 1);
  }
  bed.add_span(step, bed.grow({}, 0, 300), 1);
  if (n_prefix >= kKvBlockTokens) step.segments = {{0, n_prefix / kKvBlockTokens, 1, n_members}};

  const std::vector<uint8_t> out = bed.run(step, step.spans, step.segments);
  CHECK(bed.largest_error(step, out, type == FloatType::kF32 ? 31 : 7) < tolerance(type));
  CHECK(out == bed.run(step, step.spans, {}, {.n_partial_rows = 0}));
  CHECK(out == bed.run(step, step.spans, step.segments, {.n_sms = 1000}));
  CHECK(out == bed.run(step, row_by_row(step), {}));
}

// Choices among which every two places of two lists meet: greedily, the best of some random ones.
std::vector<Choice> pairwise_choices(const Choice& sizes) {
  std::set<std::tuple<size_t, int32_t, size_t, int32_t>> missing;
  for (size_t a = 0; a < sizes.size(); ++a) {
    for (size_t b = a + 1; b < sizes.size(); ++b) {
      for (int32_t i = 0; i < sizes[a]; ++i) {
        for (int32_t j = 0; j < sizes[b]; ++j) missing.insert({a, i, b, j});
      }
    }
  }
  std::mt19937 random(1);
  std::vector<Choice> choices;
  while (!missing.empty()) {
    Choice best{};
    size_t best_gain = 0;
    for (int attempt = 0; attempt < 200; ++attempt) {
      Choice choice;
      for (size_t a = 0; a < sizes.size(); ++a)
        choice[a] = static_cast<int32_t>(random() % sizes[a]);
      const auto [a, i, b, j] = *missing.begin();
      choice[a] = i;
      choice[b] = j;
      size_t gain = 0;
      for (size_t c = 0; c < sizes.size(); ++c) {
        for (size_t d = c + 1; d < sizes.size(); ++d) {
          gain += missing.contains({c, choice[c], d, choice[d]}) ? 1 : 0;
        }
      }
      if (gain > best_gain) {
        best = choice;
        best_gain = gain;
      }
    }
    for (size_t c = 0; c < sizes.size(); ++c) {
      for (size_t d = c + 1; d < sizes.size(); ++d) missing.erase({c, best[c], d, best[d]});
    }
    choices.push_back(best);
  }
  return choices;
}

std::vector<FloatType> types_at_hand() {
  if (gpu_has(8, 0, "bf16 products")) return {FloatType::kF16, FloatType::kBf16};
  return {FloatType::kF16};
}

// Two levels of sharing: members of the whole first level, then those of a nested one.
TestStep nested_step(AttentionBed& bed, int32_t n_outer, int32_t n_inner) {
  TestStep step;
  const TestSequence outer = bed.grow({}, 0, n_outer);
  const TestSequence inner = bed.grow(outer, n_outer, n_inner);
  for (int32_t i = 0; i < 3; ++i) bed.add_span(step, bed.grow(outer, n_outer, 5 + 40 * i), 1 + i);
  for (int32_t i = 0; i < 4; ++i) {
    bed.add_span(step, bed.grow(inner, n_outer + n_inner, 300 * i + 1), 1);
  }
  step.segments = {{0, n_outer / kKvBlockTokens, 0, 7},
                   {n_outer / kKvBlockTokens, (n_outer + n_inner) / kKvBlockTokens, 3, 4}};
  return step;
}

}  // namespace

TEST_CASE("attention: shared, flat, split, row by row: the same bits, close to double [smoke]") {
  for (const FloatType type : types_at_hand()) {
    check_choice(type, {1, 0, 4, 2, 2, kMixed}, 1);  // (8, 2) heads of 64
    check_choice(type, {3, 1, 3, 1, 1, kDecode}, 2);
    check_choice(type, {2, 4, 2, 2, 1, kPrefill}, 3);
    check_choice(type, {4, 2, 3, 1, 2, kMixed}, 4);
  }
  check_choice(FloatType::kF32, {1, 0, 3, 1, 1, kMixed}, 5);
}

TEST_CASE("attention: a pairwise sample of the matrix") {
  const std::vector<Choice> choices = pairwise_choices(kChoices);
  CHECK(choices.size() <= 60);
  const std::vector<FloatType> types = types_at_hand();
  uint32_t seed = 10;
  for (const Choice& choice : choices) {
    check_choice(types[seed % types.size()], choice, seed);
    ++seed;
  }
}

TEST_CASE("attention: rare head sizes") {
  const int32_t first = std::ssize(kHeadDims);
  for (const FloatType type : types_at_hand()) {
    check_choice(type, {1, first, 3, 1, 1, kMixed}, 6);
    check_choice(type, {3, first, 2, 2, 2, kPrefill}, 7);
    check_choice(type, {2, first, 3, 1, 1, kDecode}, 8);
  }
  check_choice(FloatType::kF32, {0, first, 2, 1, 1, kMixed}, 9);
}

TEST_CASE("attention: the whole matrix [full]") {
  const std::vector<FloatType> types = types_at_hand();
  uint32_t seed = 1000;
  Choice c{};
  for (c[0] = 0; c[0] < kChoices[0]; ++c[0]) {
    for (c[2] = 0; c[2] < kChoices[2]; ++c[2]) {
      for (c[3] = 0; c[3] < kChoices[3]; ++c[3]) {
        for (c[4] = 0; c[4] < kChoices[4]; ++c[4]) {
          for (const FloatType type : types) {
            c[1] = static_cast<int32_t>(seed % kHeadDims.size());
            c[5] = static_cast<int32_t>(seed / kHeadDims.size() % kRowKinds);
            check_choice(type, c, seed++);
          }
        }
      }
    }
  }
}

TEST_CASE("attention: nested segments, cut anywhere, give the bits of no segments") {
  for (const FloatType type : {FloatType::kF16, FloatType::kF32}) {
    AttentionBed bed({8, 2, 64}, {.type = type}, 200, 20);
    const TestStep step = nested_step(bed, 600, 700);
    const std::vector<uint8_t> expected = bed.run(step, step.spans, {}, {.n_partial_rows = 0});
    CHECK(bed.largest_error(step, expected, 1) < tolerance(type));
    CHECK(expected == bed.run(step, step.spans, step.segments));
    CHECK(expected == bed.run(step, step.spans, step.segments, {.n_sms = 1000}));
    // Room for the first segment only, and for a part of the splits.
    CHECK(expected == bed.run(step, step.spans, step.segments, {.n_partial_rows = 40}));
    CHECK(expected == bed.run(step, step.spans, {}, {.n_sms = 1000, .n_partial_rows = 11}));
    const std::vector<SharedSegment> cut = {
        {0, 3, 0, 7}, {3, 16, 0, 7}, {16, 18, 0, 7}, {18, 33, 3, 4}, {33, 40, 3, 4}};
    CHECK(expected == bed.run(step, step.spans, cut));
  }
}

TEST_CASE("attention: a window and a soft-cap, alone and together") {
  const std::vector<AttentionMode> modes = {{FloatType::kF16, 100, 0.0f},
                                            {FloatType::kF16, 0, 2.0f},
                                            {FloatType::kF16, 513, 5.0f},
                                            {FloatType::kF32, 300, 2.0f}};
  for (const AttentionMode& mode : modes) {
    CAPTURE(mode.window);
    CAPTURE(mode.soft_cap);
    AttentionBed bed({8, 2, 32}, mode, 200, 30);
    TestStep step = nested_step(bed, 520, 270);
    bed.add_span(step, bed.grow({}, 0, 700), 290);
    const std::vector<uint8_t> out = bed.run(step, step.spans, step.segments);
    CHECK(bed.largest_error(step, out, 13) < tolerance(mode.type));
    CHECK(out == bed.run(step, step.spans, {}, {.n_partial_rows = 0}));
    CHECK(out == bed.run(step, step.spans, step.segments, {.n_sms = 1000}));
    CHECK(out == bed.run(step, row_by_row(step), {}));
  }
}

TEST_CASE("attention: prefill in chunks gives the bits of prefill at once") {
  AttentionBed bed({9, 3, 48}, {.type = FloatType::kF16}, 40, 40);
  TestStep whole;
  const TestSequence sequence = bed.grow({}, 0, 530);
  bed.add_span(whole, sequence, 530);
  TestStep chunks = whole;
  chunks.spans.clear();
  for (int32_t row = 0; row < 530; row += 77) {
    chunks.spans.push_back({row, std::min(77, 530 - row), row, 0, 17});
  }
  const std::vector<uint8_t> out = bed.run(whole, whole.spans, {});
  CHECK(bed.largest_error(whole, out, 23) < tolerance(FloatType::kF16));
  CHECK(out == bed.run(chunks, chunks.spans, {}));
}

TEST_CASE("attention: padding rows are left alone") {
  AttentionBed bed({4, 4, 16}, {.type = FloatType::kF16}, 40, 50);
  TestStep step;
  bed.add_span(step, bed.grow({}, 0, 40), 2);
  const std::vector<uint8_t> expected = bed.run(step, step.spans, {});
  TestStep padded = step;
  padded.positions.push_back(0);
  padded.q.insert(padded.q.end(), bed.q_dim(), NAN);
  std::vector<uint8_t> out = bed.run(padded, padded.spans, {});
  const auto padding = out.begin() + static_cast<int64_t>(expected.size());
  CHECK(std::all_of(padding, out.end(), [](uint8_t byte) { return byte == 0xff; }));
  out.erase(padding, out.end());
  CHECK(out == expected);
}

TEST_CASE("attention: a head size without a kernel is refused") {
  CHECK(prepare_attention(FloatType::kF16, 40, 64 * 1024) == cudaErrorInvalidValue);
  const AttentionArgs args = {.max_items = 1, .n_heads = 1, .n_kv_heads = 1, .head_dim = 40};
  CHECK(launch_attention(args, nullptr) == cudaErrorInvalidValue);
}

}  // namespace prefold::cuda
