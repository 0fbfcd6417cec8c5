// Scheduler: the baseline of servers, which keep what prompts begin with for as long as nobody
// needs the memory, and find it by its content.
#include "base/check.h"
#include "schedule/scheduler.h"

namespace prefold {
namespace {

// Of no content yet. What adapters make of the same tokens differs.
uint64_t start_of_content(int32_t adapter) {
  return static_cast<uint64_t>(adapter - kNoAdapter) * 0xD6E8FEB86659FD93u;
}

// Identifies a full block's content: its tokens and all before them.
uint64_t content_hash(uint64_t before, TokenSpan tokens) {
  for (const int32_t token : tokens) {
    before = (before ^ static_cast<uint64_t>(token + 1)) * 0x9E3779B97F4A7C15u;
    before ^= before >> 29;
  }
  return before | 1;  // 0 stands for none
}

}  // namespace

// The longest run of leading full blocks whose content is still in memory. The last token is always
// computed, since its logits are needed; a prompt whose tokens are scored, or whose embedding is a
// mean, reuses nothing.
void Scheduler::take_cached_blocks(int32_t node_idx) {
  const Node& node = nodes_[node_idx];
  StartedNode& started = started_node(node_idx);
  const TokenSpan tokens = tokens_of(node_idx);
  if (node.score_top >= 0 || node.sums || started.n_computed > 0) return;
  uint64_t hash = start_of_content(tree_.adapter_of_node(node_idx));
  while (started.n_computed + kKvBlockTokens < std::ssize(tokens)) {
    hash = content_hash(hash, tokens.subspan(started.n_computed, kKvBlockTokens));
    const std::optional<int32_t> block = pool_.take_content(hash);
    if (!block) return;
    started.table.blocks.push_back(*block);
    started.n_computed += kKvBlockTokens;
  }
}

// Full blocks of a prompt that this step computes can be found by later steps.
void Scheduler::offer_computed_blocks(const Draft& draft) {
  if (!draft.is_node) return;
  const StartedNode& started = started_node(draft.idx);
  const TokenSpan tokens = tokens_of(draft.idx);
  uint64_t hash = start_of_content(draft.adapter);
  for (int32_t i = 0; (i + 1) * kKvBlockTokens <= started.n_computed; ++i) {
    hash = content_hash(hash, tokens.subspan(i * kKvBlockTokens, kKvBlockTokens));
    pool_.set_content(started.table.blocks[i], hash);
  }
}

}  // namespace prefold
