// Causal attention over the paged KV cache, with shared segments; and the append of new KV.
//
// A query row at position p sees positions 0..p of its own sequence. Its arithmetic is fixed by p
// alone (invariant I6). For one row and one head, with q of head_dim values, all of it in f32:
//
//   Positions are walked in tiles of kKvBlockTokens anchored at 0, with a running state
//   (max, sum, acc[head_dim]) that starts at (-inf, 0, 0) in each absolute chunk of
//   kAttentionChunk positions. In a tile, over its positions j with j <= p in order:
//     s[j]    = fma(q[d] * scale, k[j][d], s[j]) for d = 0, 1, ..., from 0
//     new_max = max(max, all s[j]);  correction = exp_nonpositive(max - new_max)
//     w[j]    = exp_nonpositive(s[j] - new_max), 0 for positions past p
//     sum     = sum * correction + sum_lanes(w[0..15] + w[16..31])
//     acc[d]  = acc[d] * correction, then acc[d] = fma(w[j], v[j][d], acc[d]) for each j
//   The first chunk's state is the total. Each later chunk, once finished, is merged into it:
//     new_max = max(total max, chunk max);  a = exp(total max - new_max);  b = exp(chunk max -
//     new_max) sum = total sum * a + chunk sum * b;  acc[d] = total acc[d] * a + chunk acc[d] * b
//   out[d] = acc[d] * (1 / sum)
//
// With a soft-cap, scores become cap * tanh(s[j] * (1 / cap)) before anything else is done with
// them. With a window of w positions a row sees positions p - w + 1 .. p only: the terms of others
// are left out, and so are tiles and chunks of which it sees nothing, so that the first chunk with
// something to see takes the place of the first.
//
// with exp, exp_nonpositive, tanh and sum_lanes of kernels/cpu/simd.h (online softmax: arXiv
// 1805.02867). K and V are read as stored, after rounding to the KV type. Memory of positions past
// p may hold anything, NaN too.
//
// With Precision::kFast and an int8 cache, k[j] = k_scale[j] * kq[j] and v[j] likewise, both
// products of a tile are sums of integers, which are exact:
//     qq[d]   = round(q[d] * (127 / max|q|));  factor = max|q| * (1 / 127) * scale    once a row
//     s[j]    = float(sum of qq[d] * kq[j][d]) * k_scale[j]
//               capped: cap * tanh(s[j] * (factor * (1 / cap))); the factor below is 1 then
//     new_max = max(max, (max of all s[j]) * factor);  correction = exp_nonpositive(max - new_max)
//     p[j]    = exp_nonpositive(fma(s[j], factor, -new_max)), 0 for positions past the row's
//     sum     = sum * correction + sum_lanes(p[0..15] + p[16..31])
//     w[j]    = p[j] * v_scale[j];  w_scale = max w * (1 / 255)
//     wq[j]   = round(w[j] * (255 / max w))
//     acc[d]  = fma(float(sum of wq[j] * vq[j][d]), w_scale, acc[d] * correction)
// where rounding is to nearest, half to even, and what is at most 2^-100 (max|q|, max w) counts as
// 0. One factor a tile, not a fixed one, keeps the weights of a tile far below the maximum as exact
// as others. The sum takes p as it is: the rounded weights have V's scales in them.
//
// A shared segment (Hydragen, arXiv 2402.05099; BatchLLM, arXiv 2412.03594) covers whole tiles and
// hands its state on to what follows. So the bits do not depend on segments, chunks of prefill,
// other rows, threads or the instruction set. Long lone sequences are split over the threads at the
// chunks (LeanAttention, arXiv 2405.10480), which changes no bit either. The rows of a segment may
// have windows that begin inside it or behind it; tiles that no row of a work sees are not walked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/device.h"
#include "ops/tensor_view.h"
#include "plan/row_span.h"

namespace prefold {

static_assert(kKvTileTokens == kKvBlockTokens);

// The KV cache of one layer. Block b of K: (n_kv_heads, head_dim, kKvBlockTokens), so that a tile
// is a matrix with positions in the lanes; block b of V: (n_kv_heads, kKvBlockTokens, head_dim
// padded to a multiple of 16). With kInt8 the kKvBlockTokens scales of each head follow its values.
// head_dim is at most kMaxHeadDim, n_heads / n_kv_heads at most kMaxWalkRows.
struct KvLayer {
  KvType type = KvType::kF32;  // kernels/cpu/attention.h
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  std::byte* k = nullptr;
  std::byte* v = nullptr;
  size_t block_stride = 0;  // bytes from a block to the next one; kv_block_bytes at least
};

// Bytes of K (or of V) that one block takes in one layer.
size_t kv_block_bytes(KvType type, int32_t n_kv_heads, int32_t head_dim);

// Stores k and v, (n_rows, n_kv_heads * head_dim), of every row at its position, rounded to
// kv.type. spans: as for attention.
void kv_append(const Device& device, ConstRows k, ConstRows v, std::span<const RowSpan> spans,
               std::span<const int32_t> block_ids, const KvLayer& kv);

// Makes the copies, in order, in every layer. The layers have one shape.
void kv_copy(const Device& device, std::span<const BlockCopy> copies,
             std::span<const KvLayer> layers);

struct AttentionRule {
  float scale = 1.0f;    // of q k^T
  float softcap = 0.0f;  // 0: none
  int32_t window = 0;    // positions that a row sees at most, itself included; 0: all
};

// q, out: (n_rows, n_heads * head_dim); head h reads KV head h / (n_heads / n_kv_heads).
// The spans cover the rows in order, without gaps. The KV of this step's rows must have been
// appended. `scratch` as sized below for at least n_rows rows, aligned to 64 bytes.
void attention(const Device& device, ConstRows q, const KvLayer& kv, std::span<const RowSpan> spans,
               std::span<const int32_t> block_ids, std::span<const SharedSegment> segments,
               const AttentionRule& rule, std::span<std::byte> scratch, Rows out);
// The kernel that walks a cache of this type.
AttentionWalkFn attention_walk(const Device& device, KvType type);
size_t attention_scratch_bytes(const Device& device, int32_t max_rows, int32_t n_heads,
                               int32_t head_dim);

}  // namespace prefold
