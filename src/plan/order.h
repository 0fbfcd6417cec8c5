// In which order subtrees of the prefix tree run.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/prefix_tree.h"

namespace prefold {

// The same tree with siblings in another order. decode_tokens: by prompt, the rows that its answers
// will decode, as predicted: their tokens less the first of each.
//
// The subtrees below what all prompts of an adapter share (plan/prefix_groups.h), and those of the
// adapters, run by decode tokens per prefill token, largest first, so that their decodes mix with
// later prefill chunks and no tail of lone decodes is left (BatchLLM, arXiv 2412.03594).
//
// Inside such a subtree, what needs most memory for a while runs first: children in descending
// order of peak - residual (Sethi and Ullman, "The Generation of Optimal Code for Arithmetic
// Expressions", 1970). The model: nodes run depth first and one by one; the sequences that end at a
// node start before its children; what decodes goes on until the whole subtree has been prefilled,
// with its KV to the predicted end; what does not decode (one token, or only scores) leaves
// nothing. So a subtree leaves as its residual the nodes with a decoding sequence at or below them,
// and the decode tokens; its peak is the most that it holds in between. Under this model no other
// depth-first order has a lower peak. Where differences are equal the higher peak comes first;
// further ties keep their order.
PrefixTree order_by_ratio(PrefixTree tree, std::vector<int64_t> decode_tokens);

// Siblings in descending order of their tokens, for batches of prompts of like length.
PrefixTree order_by_length(PrefixTree tree);

}  // namespace prefold
