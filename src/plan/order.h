// In which order subtrees of the prefix tree run.
#pragma once

#include <cstdint>
#include <span>

#include "plan/prefix_tree.h"

namespace prefold {

// The same tree with siblings in another order: below the root by decode tokens per prefill token,
// largest first, so that their decodes mix with later prefill chunks and no tail of lone decodes is
// left (BatchLLM, arXiv 2412.03594); elsewhere by the KV that a subtree holds at most when it runs
// depth first, largest first. Ties keep their order. decode_tokens: by prompt, as predicted.
PrefixTree order_by_ratio(const PrefixTree& tree, std::span<const int64_t> decode_tokens);

}  // namespace prefold
