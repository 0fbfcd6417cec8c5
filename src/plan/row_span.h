// Which rows of a step belong together, in the words that the planner, the forward pass and the
// attention op share.
#pragma once

#include <cstdint>

namespace prefold {

// Tokens in one KV block. Attention works in tiles of this many positions, anchored at absolute
// positions 0, 32, 64, ..., so that a row's arithmetic does not depend on how it was batched.
inline constexpr int32_t kKvBlockTokens = 32;

// A contiguous run of rows [first_row, first_row + n_rows) of one sequence, at positions
// first_position, first_position + 1, ... Its KV lives in
// block_ids[first_block .. first_block + n_blocks), position p in entry p / kKvBlockTokens.
struct RowSpan {
  int32_t first_row = 0;
  int32_t n_rows = 0;
  int32_t first_position = 0;
  int32_t first_block = 0;
  int32_t n_blocks = 0;
};

// Entries [begin_block, end_block) of the block tables, identical for every span in
// [first_span, first_span + n_spans) and full before this step's rows: their keys and values are
// read once for all those rows (Hydragen, arXiv 2402.05099). Segments that share a span nest:
// the outer one comes first in a list and covers the earlier blocks; a nested one begins where the
// one around it ends. What no segment covers is each span's own part.
struct SharedSegment {
  int32_t begin_block = 0;
  int32_t end_block = 0;
  int32_t first_span = 0;
  int32_t n_spans = 0;
};

// Rows [first_row, first_row + n_rows) of a step go through the adapter of that number.
struct AdapterRows {
  int32_t first_row = 0;
  int32_t n_rows = 0;
  int32_t adapter = 0;
};

// Before the step's rows run: the first n_tokens positions of block `from` are copied to block
// `to`, in every layer. Copies are made in order: a block may be written by one and read by a later
// one.
struct BlockCopy {
  int32_t from = 0;
  int32_t to = 0;
  int32_t n_tokens = 0;
};

}  // namespace prefold
