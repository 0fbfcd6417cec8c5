#include <algorithm>
#include <cmath>

#include "apps/cuda_cases.h"
#include "cuda/attention_plan.h"
#include "kernels/cuda/attention.h"

namespace prefold::cuda {
namespace {

constexpr double kPositionBytes = 2.0 * 2.0 * kKvHeads * kHeadDim;  // K and V of a position
constexpr double kRowBytes = 2.0 * 2.0 * kHeads * kHeadDim;         // q and out
constexpr double kPairFlops = 2.0 * 2.0 * kHeads * kHeadDim;        // of a row and a position

// Sequences in groups with a shared prefix of whole blocks; each has n_rows rows at the end of its
// n_own positions.
struct Step {
  int32_t n_groups = 1;
  int32_t n_sequences = 1;  // of a group
  int32_t n_shared = 0;
  int32_t n_own = 0;
  int32_t n_rows = 1;
};

struct StepTables {
  std::vector<RowSpan> spans;
  std::vector<SharedSegment> segments;
  std::vector<int32_t> block_ids;
  std::vector<int32_t> positions;
  int32_t n_blocks = 0;
};

StepTables make_tables(const Step& step) {
  const int32_t n_shared = step.n_shared / kKvBlockTokens;
  const int32_t n_own = (step.n_own + kKvBlockTokens - 1) / kKvBlockTokens;
  StepTables tables;
  for (int32_t s = 0; s < step.n_groups * step.n_sequences; ++s) {
    const int32_t group = s / step.n_sequences;
    RowSpan span;
    span.first_row = s * step.n_rows;
    span.n_rows = step.n_rows;
    span.first_position = step.n_shared + step.n_own - step.n_rows;
    span.first_block = static_cast<int32_t>(tables.block_ids.size());
    span.n_blocks = n_shared + n_own;
    tables.spans.push_back(span);
    for (int32_t block = 0; block < n_shared; ++block)
      tables.block_ids.push_back(group * n_shared + block);
    for (int32_t block = 0; block < n_own; ++block)
      tables.block_ids.push_back(step.n_groups * n_shared + s * n_own + block);
    for (int32_t row = 0; row < step.n_rows; ++row)
      tables.positions.push_back(span.first_position + row);
  }
  if (n_shared > 0 && step.n_sequences > 1) {
    for (int32_t group = 0; group < step.n_groups; ++group)
      tables.segments.push_back({0, n_shared, group * step.n_sequences, step.n_sequences});
  }
  tables.n_blocks = step.n_groups * (n_shared + step.n_sequences * n_own);
  return tables;
}

// The lists of plan_attention, on the device.
void plan_into(CaseMemory& memory, const StepTables& tables, AttentionArgs& args) {
  const AttentionShape shape{.n_heads = kHeads,
                             .n_kv_heads = kKvHeads,
                             .tile_rows = attention_tile_rows(FloatType::kF16, kHeadDim),
                             .window = 0,
                             .n_sms = memory.device().sm_count};
  const auto n_rows = static_cast<int32_t>(tables.positions.size());
  const AttentionLimits limits = attention_limits(n_rows, shape);
  std::vector<AttentionItem> items(limits.n_items);
  std::vector<AttentionMerge> merges(limits.n_merges);
  std::vector<int32_t> parts(limits.n_parts);
  AttentionLists lists;
  lists.items = items;
  lists.merges = merges;
  lists.parts = parts;
  AttentionPlanScratch scratch(limits);
  plan_attention(tables.spans, tables.segments, shape, limits, scratch, lists);

  const size_t n_states = size_t(std::max(lists.n_partial_rows, 1)) * kHeads;
  args.items = memory.upload(items);
  args.merges = memory.upload(merges);
  args.parts = memory.upload(parts);
  args.counts = memory.upload(std::vector<AttentionCounts>{lists.counts});
  args.max_items = lists.counts.n_items;
  args.max_merges = lists.counts.n_merges;
  args.partial_acc = memory.unwritten<float>(n_states * kHeadDim);
  args.partial_max_sum = memory.unwritten<float>(n_states * 2);
}

CaseWork attention_case(CaseMemory& memory, const Step& step) {
  const StepTables tables = make_tables(step);
  const auto n_rows = static_cast<int32_t>(tables.positions.size());
  const size_t n_cached = size_t(tables.n_blocks) * kKvHeads * kKvBlockTokens * kHeadDim;
  AttentionArgs args;
  args.q = memory.halves(size_t(n_rows) * kHeads * kHeadDim);
  args.out = memory.unwritten<uint16_t>(size_t(n_rows) * kHeads * kHeadDim);
  args.q_stride = args.out_stride = kHeads * kHeadDim;
  args.k = memory.halves(n_cached);
  args.v = memory.halves(n_cached);
  args.positions = memory.upload(tables.positions);
  args.block_ids = memory.upload(tables.block_ids);
  args.n_heads = kHeads;
  args.n_kv_heads = kKvHeads;
  args.head_dim = kHeadDim;
  args.scale = 1.0f / std::sqrt(static_cast<float>(kHeadDim));
  args.max_shared_bytes = static_cast<int32_t>(memory.device().shared_bytes_per_block);
  plan_into(memory, tables, args);
  check_launch("attention", prepare_attention(args.type, kHeadDim, args.max_shared_bytes));

  const double n_positions = step.n_groups * (step.n_shared + 1.0 * step.n_sequences * step.n_own);
  double n_pairs = 0.0;
  for (const int32_t position : tables.positions) n_pairs += position + 1;
  return {.bytes = kPositionBytes * n_positions + kRowBytes * n_rows,
          .flops = kPairFlops * n_pairs,
          .launch = [args](cudaStream_t stream) {
            check_launch("attention", launch_attention(args, stream));
            if (args.max_merges > 0)
              check_launch("attention_merge", launch_attention_merge(args, stream));
          }};
}

}  // namespace

std::vector<CudaCase> attention_cases() {
  const auto make = [](const Step& step) {
    return [step](CaseMemory& memory) { return attention_case(memory, step); };
  };
  return {
      // A chunk of 256 rows at the end of 2048 positions.
      {"attention.prefill", make({.n_own = 2048, .n_rows = 256})},
      // 16 sequences that decode behind a shared prefix of 2048, each with 128 of its own.
      {"attention.shared", make({.n_sequences = 16, .n_shared = 2048, .n_own = 128})},
      // Eight such groups.
      {"attention.groups",
       make({.n_groups = 8, .n_sequences = 16, .n_shared = 2048, .n_own = 128})},
      // 16 sequences as long without sharing.
      {"attention.decode", make({.n_sequences = 16, .n_own = 2048 + 128})},
      // One sequence that decodes alone.
      {"attention.lone", make({.n_own = 8192})},
  };
}

}  // namespace prefold::cuda
