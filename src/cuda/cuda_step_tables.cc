#include "cuda/cuda_step_tables.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "base/check.h"
#include "cuda/error.h"

namespace prefold::cuda {

size_t step_table_bytes(const StepTableLimits& limits) {
  const size_t n_rows = limits.max_rows;
  const auto ints = [](size_t n) { return arena_bytes(n * sizeof(int32_t)); };
  return 4 * ints(n_rows) + ints(n_rows * limits.max_blocks_per_span) +
         arena_bytes(limits.max_copies * sizeof(BlockCopy)) +
         arena_bytes(limits.attention.n_items * sizeof(AttentionItem)) +
         arena_bytes(limits.attention.n_merges * sizeof(AttentionMerge)) +
         ints(limits.attention.n_parts) + arena_bytes(sizeof(AttentionCounts));
}

StepTableBuilder::StepTableBuilder(const StepTableLimits& limits, DeviceArena& device,
                                   PinnedArena& pinned)
    : limits_(limits),
      scratch_(limits.attention),
      items_(limits.attention.n_items),
      merges_(limits.attention.n_merges),
      parts_(limits.attention.n_parts),
      kv_slots_(limits.max_rows),
      device_(device.take<std::byte>(step_table_bytes(limits))),
      n_bytes_(step_table_bytes(limits)) {
  for (std::byte*& staging : staging_) staging = pinned.take<std::byte>(n_bytes_);
}

// Appends a table; returns where it will be on the device.
template <class T>
const T* StepTableBuilder::put(std::span<const T> values) {
  CHECK(used_ + values.size_bytes() <= n_bytes_);
  if (!values.empty()) std::memcpy(host_ + used_, values.data(), values.size_bytes());
  const std::byte* place = device_ + used_;
  used_ += arena_bytes(values.size_bytes());
  return reinterpret_cast<const T*>(place);
}

const int32_t* StepTableBuilder::put_kv_slots(const StepPlan& plan) {
  const std::span<int32_t> slots = std::span(kv_slots_).first(plan.n_rows());
  std::fill(slots.begin(), slots.end(), -1);
  for (const RowSpan& span : plan.spans) {
    for (int32_t i = 0; i < span.n_rows; ++i) {
      const int32_t position = span.first_position + i;
      const int32_t block = plan.block_ids[span.first_block + position / kKvBlockTokens];
      slots[span.first_row + i] = block * kKvBlockTokens + position % kKvBlockTokens;
    }
  }
  return put(std::span<const int32_t>(slots));
}

StepTables StepTableBuilder::upload(const StepPlan& plan, int64_t step, cudaStream_t stream) {
  CHECK(plan.n_rows() <= limits_.max_rows);
  AttentionLists lists{items_, merges_, parts_, {}, 0, 0};
  plan_attention(plan.spans, plan.segments, limits_.attention_shape, limits_.attention, scratch_,
                 lists);
  host_ = staging_[step % kMaxSteps];
  used_ = 0;
  StepTables tables;
  tables.token_ids = put(std::span<const int32_t>(plan.token_ids));
  tables.input_slots = put(std::span<const int32_t>(plan.input_slots));
  tables.positions = put(std::span<const int32_t>(plan.positions));
  tables.kv_slots = put_kv_slots(plan);
  tables.block_ids = put(std::span<const int32_t>(plan.block_ids));
  tables.copies = put(std::span<const BlockCopy>(plan.copies));
  tables.counts = put(std::span<const AttentionCounts>(&lists.counts, 1));
  tables.items = put(std::span<const AttentionItem>(lists.items.first(lists.counts.n_items)));
  tables.merges = put(std::span<const AttentionMerge>(lists.merges.first(lists.counts.n_merges)));
  tables.parts = put(std::span<const int32_t>(lists.parts.first(lists.n_parts)));
  tables.host_counts = lists.counts;
  check_cuda("copy of the step's tables",
             cudaMemcpyAsync(device_, host_, used_, cudaMemcpyHostToDevice, stream));
  return tables;
}

}  // namespace prefold::cuda
