// The radix tree of all prompts, token by token: every prefix that prompts share is one node, so
// the tokens in the tree are the fewest that prefill can compute. Prompts of different adapters
// share nothing, since their keys and values differ: each adapter has its own children of the root.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "plan/prompt_store.h"

namespace prefold {

// The adapter (LoRA) of what has none: the model itself.
inline constexpr int32_t kNoAdapter = -1;

// A run of tokens that all prompts below the node share. Every node but the root has at least one
// token, and at least two children or a prompt that ends at it.
struct PrefixNode {
  int32_t parent = 0;       // the root is its own
  int32_t subtree_end = 0;  // the nodes below are (this node, subtree_end)
  int32_t depth_begin = 0;  // its tokens stand at positions [depth_begin, depth_end)
  int32_t depth_end = 0;
  int32_t representative = 0;  // the first prompt below: its tokens there are the node's
  int32_t first = 0;           // the prompts below are PrefixTree::order[first, last)
  int32_t last = 0;

  int32_t n_tokens() const { return depth_end - depth_begin; }
  int32_t n_prompts() const { return last - first; }
};

// The nodes of a tree, of which only that is kept from which all else follows: 20 bytes a node.
class PrefixNodes {
 public:
  struct Stored {
    int32_t parent = 0;
    int32_t subtree_end = 0;
    int32_t depth_end = 0;
    int32_t representative = 0;
    int32_t first = 0;
  };
  static_assert(sizeof(Stored) == 20);

  PrefixNodes() = default;
  // In depth-first order, the root first; n_prompts of the whole tree.
  PrefixNodes(std::vector<Stored> nodes, int32_t n_prompts) : stored_(std::move(nodes)) {
    stored_.push_back({.first = n_prompts});  // where the prompts of the last nodes end
  }

  size_t size() const { return stored_.empty() ? 0 : stored_.size() - 1; }
  PrefixNode operator[](size_t node) const {
    const Stored& s = stored_[node];
    return {s.parent,
            s.subtree_end,
            stored_[s.parent].depth_end,  // the root's own is 0
            s.depth_end,
            s.representative,
            s.first,
            stored_[s.subtree_end].first};
  }

  class Iterator {
   public:
    Iterator(const PrefixNodes& nodes, size_t node) : nodes_(&nodes), node_(node) {}
    PrefixNode operator*() const { return (*nodes_)[node_]; }
    Iterator& operator++() {
      ++node_;
      return *this;
    }
    bool operator==(const Iterator& other) const { return node_ == other.node_; }

   private:
    const PrefixNodes* nodes_;
    size_t node_;
  };
  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, size()}; }

 private:
  std::vector<Stored> stored_;
};

// Nodes in depth-first order, the root (no tokens, all prompts) at 0. The children of v:
//   for (int32_t c = v + 1; c < nodes[v].subtree_end; c = nodes[c].subtree_end)
// Siblings stand in the order of their first prompt in the input.
struct PrefixTree {
  PrefixNodes nodes;
  std::vector<int32_t> order;           // prompt indices; those that end at a node come before
                                        // those below its children, in the order of the input
  std::vector<int32_t> node_of_prompt;  // the node at whose end each prompt ends
  std::vector<int32_t> adapters;        // by prompt; empty: none has one

  // Of all prompts below the node; of the root, which has no tokens, of no meaning.
  int32_t adapter_of_node(int32_t node) const {
    return adapters.empty() ? kNoAdapter : adapters[nodes[node].representative];
  }
};

// Prompts may be empty (they end at the root), equal (they share a node) or prefixes of others.
// Token ids must not be negative. adapters: of each prompt, kNoAdapter or a number from 0; or none
// at all. Sorts with longest common prefixes that are never scanned twice (Ng and Kakehi, "Merging
// String Sequences by Longest Common Prefixes", 2008): O(total tokens + n log n) time; besides the
// result, at most 90 bytes a prompt while it runs.
PrefixTree build_prefix_tree(const PromptStore& prompts, std::span<const int32_t> adapters = {});

// The same structure with no sharing: each prompt that is not empty is a child of the root.
PrefixTree flat_tree(const PromptStore& prompts, std::span<const int32_t> adapters = {});

struct PrefixStats {
  int64_t n_prompts = 0;
  int64_t n_prompt_tokens = 0;       // what prefill computes without any sharing
  int64_t n_tree_tokens = 0;         // what it computes with all of it
  int64_t n_shared_nodes = 0;        // nodes with at least two prompts, the root not counted
  double saved_percent = 0.0;        // 100 (1 - tree / prompt tokens); 0 without tokens
  double mean_sharing_degree = 0.0;  // prompts that use a shared token, mean over shared tokens
  double mean_shared_tokens = 0.0;   // tokens that a prompt shares with another, mean over prompts
};

PrefixStats prefix_stats(const PrefixTree& tree);

}  // namespace prefold
