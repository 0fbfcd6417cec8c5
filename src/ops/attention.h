// Causal attention over the paged KV cache, with shared segments; and the append of new KV.
//
// A query row at position p sees positions 0..p of its own sequence. Its arithmetic is fixed by p
// alone: tiles of kKvBlockTokens positions anchored at 0, online softmax with f32 state (running
// max, sum, accumulator) from tile to tile in order; the state starts anew at every absolute multiple
// of kAttentionChunk positions and chunks are merged in order. A shared segment
// (Hydragen, arXiv 2402.05099; BatchLLM, arXiv 2412.03594) covers whole tiles and hands its state on.
// So the bits do not depend on segments, chunks of prefill, threads or the instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/device.h"
#include "ops/tensor_view.h"
#include "plan/row_span.h"

namespace prefold {

inline constexpr int32_t kAttentionChunk = 2048;

enum class KvType { kF32, kF16, kBF16, kInt8 };

// The KV cache of one layer. Block b of K: (n_kv_heads, head_dim, kKvBlockTokens), so that a tile is
// a matrix with positions in the lanes; block b of V: (n_kv_heads, kKvBlockTokens, head_dim).
struct KvLayer {
  KvType type = KvType::kF32;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  std::byte* k = nullptr;
  std::byte* v = nullptr;
};

// Bytes of K (or of V) that one block takes in one layer.
size_t kv_block_bytes(KvType type, int32_t n_kv_heads, int32_t head_dim);

// Stores k and v, (n_rows, n_kv_heads * head_dim), of every row at its position, rounded to kv.type.
void kv_append(const Device& device, ConstRows k, ConstRows v, std::span<const RowSpan> spans,
               std::span<const int32_t> block_ids, const KvLayer& kv);

// Copies the first n_tokens positions of block `from` to block `to`.
void kv_copy(const Device& device, int32_t from, int32_t to, int32_t n_tokens, const KvLayer& kv);

// q, out: (n_rows, n_heads * head_dim); head h reads KV head h / (n_heads / n_kv_heads).
// The KV of this step's rows must have been appended. `scratch` as sized below.
void attention(const Device& device, ConstRows q, const KvLayer& kv,
               std::span<const RowSpan> spans, std::span<const int32_t> block_ids,
               std::span<const SharedSegment> segments, float scale, std::span<std::byte> scratch,
               Rows out);
size_t attention_scratch_bytes(const Device& device, int32_t max_rows, int32_t n_heads,
                               int32_t head_dim);

}  // namespace prefold
