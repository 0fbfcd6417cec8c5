#include "plan/prefix_tree.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/check.h"

namespace prefold {
namespace {

constexpr int32_t kStride = 64;  // tokens compared at once
constexpr int32_t kEnd = -1;     // "token" after the last one; sorts before every token

// A prompt in a sorted run: its longest common prefix with the prompt before it in the run, and its
// own token at that position.
struct SortEntry {
  int32_t prompt = 0;
  int32_t lcp = 0;
  int32_t token = kEnd;
};

int32_t token_at(TokenSpan prompt, int32_t position) {
  return position < std::ssize(prompt) ? prompt[position] : kEnd;
}

// The length of the longest common prefix, given that the first `known` tokens are equal.
int32_t common_prefix(TokenSpan a, TokenSpan b, int32_t known) {
  const int32_t end = static_cast<int32_t>(std::min(a.size(), b.size()));
  int32_t i = known;
  while (end - i >= kStride &&
         std::memcmp(a.data() + i, b.data() + i, kStride * sizeof(int32_t)) == 0) {
    i += kStride;
  }
  while (i < end && a[i] == b[i]) ++i;
  return i;
}

// Which of two prompts comes first, where `a` and `b` hold their longest common prefixes with the
// prompt that came last: the longer one is the closer one. The loser's entry is brought up to date.
bool takes_first(const PromptStore& prompts, SortEntry& a, SortEntry& b) {
  if (a.lcp != b.lcp) return a.lcp > b.lcp;
  if (a.token != b.token) return a.token < b.token;
  if (a.token == kEnd) return true;
  const TokenSpan prompt_a = prompts[a.prompt];
  const TokenSpan prompt_b = prompts[b.prompt];
  const int32_t lcp = common_prefix(prompt_a, prompt_b, a.lcp + 1);
  const int32_t token_a = token_at(prompt_a, lcp);
  const int32_t token_b = token_at(prompt_b, lcp);
  const bool first = token_a <= token_b;
  if (first) {
    b.lcp = lcp;
    b.token = token_b;
  } else {
    a.lcp = lcp;
    a.token = token_a;
  }
  return first;
}

void merge_runs(const PromptStore& prompts, std::span<SortEntry> left, std::span<SortEntry> right,
                SortEntry* out) {
  SortEntry* a = left.data();
  SortEntry* b = right.data();
  SortEntry* const a_end = a + left.size();
  SortEntry* const b_end = b + right.size();
  while (a != a_end && b != b_end) {
    SortEntry winner = *a;
    if (takes_first(prompts, *a, *b)) {
      ++a;
    } else {
      winner = *b++;
    }
    *out++ = winner;
  }
  out = std::copy(a, a_end, out);
  std::copy(b, b_end, out);
}

// Entries of prompts by themselves, to entries in lexicographic order, each with its longest common
// prefix with the one before. merged: room for as many.
void sort_entries(const PromptStore& prompts, std::span<SortEntry> entries,
                  std::span<SortEntry> merged) {
  const size_t n = entries.size();
  for (size_t width = 1; width < n; width *= 2) {
    for (size_t begin = 0; begin < n; begin += 2 * width) {
      const size_t middle = std::min(begin + width, n);
      const size_t end = std::min(begin + 2 * width, n);
      merge_runs(prompts, entries.subspan(begin, middle - begin),
                 entries.subspan(middle, end - middle), merged.data() + begin);
    }
    std::copy(merged.begin(), merged.end(), entries.begin());
  }
}

// All prompts, those of each adapter together and in lexicographic order, each with its longest
// common prefix with the one before; prompts of different adapters have none.
std::vector<SortEntry> sort_prompts(const PromptStore& prompts, std::span<const int32_t> adapters) {
  const auto n = static_cast<size_t>(prompts.size());
  std::vector<SortEntry> entries(n), merged(n);
  for (size_t i = 0; i < n; ++i) {
    entries[i] = {static_cast<int32_t>(i), 0, token_at(prompts[i], 0)};
  }
  const auto adapter = [&](const SortEntry& entry) {
    return adapters.empty() ? kNoAdapter : adapters[entry.prompt];
  };
  if (!adapters.empty()) {
    std::stable_sort(entries.begin(), entries.end(), [&](const SortEntry& a, const SortEntry& b) {
      return adapter(a) < adapter(b);
    });
  }
  const std::span<SortEntry> all(entries);
  for (size_t begin = 0, end = 0; begin < n; begin = end) {
    while (end < n && adapter(entries[end]) == adapter(entries[begin])) ++end;
    sort_entries(prompts, all.subspan(begin, end - begin),
                 std::span(merged).subspan(begin, end - begin));
  }
  return entries;
}

// The tree while its nodes are still in the order of their making. 0, the root, is nobody's child
// and nobody's sibling, so as a link it means none.
struct DraftNode {
  int32_t parent = 0;
  int32_t depth_end = 0;
  int32_t first_child = 0;
  int32_t last_child = 0;
  int32_t next_sibling = 0;
  int32_t place = 0;  // in PrefixTree::nodes
};

struct Draft {
  std::vector<DraftNode> nodes;
  std::vector<int32_t> node_of_prompt;
};

// Nodes and parents: the nodes from the last prompt's end up to the root are the only ones that the
// next prompt can hang from.
Draft make_nodes(const PromptStore& prompts, std::span<const SortEntry> sorted) {
  Draft draft;
  std::vector<DraftNode>& nodes = draft.nodes;
  // At most; what is not used is never touched.
  nodes.reserve(2 * static_cast<size_t>(prompts.size()) + 1);
  nodes.emplace_back();
  draft.node_of_prompt.resize(prompts.size());
  const auto add = [&](int32_t parent, int32_t depth_end) {
    nodes.push_back({parent, depth_end});
    return static_cast<int32_t>(nodes.size()) - 1;
  };
  int32_t top = 0;
  for (const SortEntry& entry : sorted) {
    int32_t below = 0;
    while (nodes[top].depth_end > entry.lcp) {
      below = top;
      top = nodes[top].parent;
    }
    if (nodes[top].depth_end < entry.lcp) {  // the prompts part inside the run of `below`
      top = add(top, entry.lcp);
      nodes[below].parent = top;
    }
    const int32_t n_tokens = static_cast<int32_t>(prompts[entry.prompt].size());
    if (n_tokens > entry.lcp) top = add(top, n_tokens);
    draft.node_of_prompt[entry.prompt] = top;
  }
  return draft;
}

// Links every node into its parent's list when the first prompt below it comes up.
void link_children(Draft& draft) {
  std::vector<DraftNode>& nodes = draft.nodes;
  std::vector<bool> linked(nodes.size());
  linked[0] = true;
  for (int32_t v : draft.node_of_prompt) {
    for (; !linked[v]; v = nodes[v].parent) {
      linked[v] = true;
      DraftNode& parent = nodes[nodes[v].parent];
      (parent.last_child == 0 ? parent.first_child : nodes[parent.last_child].next_sibling) = v;
      parent.last_child = v;
    }
  }
}

// The prompts that end at each node, as lists in the order of the input.
struct EndLists {
  static constexpr int32_t kNone = -1;
  std::vector<int32_t> first_of_node;
  std::vector<int32_t> next_of_prompt;
};

EndLists list_ends(const Draft& draft) {
  EndLists ends;
  ends.first_of_node.assign(draft.nodes.size(), EndLists::kNone);
  ends.next_of_prompt.resize(draft.node_of_prompt.size());
  for (size_t i = draft.node_of_prompt.size(); i-- > 0;) {
    int32_t& first = ends.first_of_node[draft.node_of_prompt[i]];
    ends.next_of_prompt[i] = first;
    first = static_cast<int32_t>(i);
  }
  return ends;
}

// Depth first. Sets DraftNode::place.
struct Layout {
  std::vector<PrefixNodes::Stored> nodes;
  std::vector<int32_t> order;
};

Layout lay_out(Draft& draft) {
  const EndLists ends = list_ends(draft);
  Layout layout;
  layout.nodes.reserve(draft.nodes.size() + 1);  // PrefixNodes adds one
  layout.order.reserve(draft.node_of_prompt.size());
  const auto enter = [&](int32_t v) {
    DraftNode& node = draft.nodes[v];
    node.place = static_cast<int32_t>(layout.nodes.size());
    layout.nodes.push_back({draft.nodes[node.parent].place, 0, node.depth_end,
                            std::numeric_limits<int32_t>::max(),
                            static_cast<int32_t>(layout.order.size())});
    for (int32_t p = ends.first_of_node[v]; p != EndLists::kNone; p = ends.next_of_prompt[p]) {
      layout.order.push_back(p);
    }
  };
  const auto leave = [&](int32_t v) {
    layout.nodes[draft.nodes[v].place].subtree_end = static_cast<int32_t>(layout.nodes.size());
  };
  int32_t v = 0;
  enter(v);
  while (true) {
    if (const int32_t child = draft.nodes[v].first_child; child != 0) {
      v = child;
      enter(v);
      continue;
    }
    leave(v);
    while (v != 0 && draft.nodes[v].next_sibling == 0) {
      v = draft.nodes[v].parent;
      leave(v);
    }
    if (v == 0) break;
    v = draft.nodes[v].next_sibling;
    enter(v);
  }
  return layout;
}

// From nodes of the draft to their places.
void set_places(const std::vector<DraftNode>& nodes, std::vector<int32_t>& node_of_prompt) {
  for (int32_t& node : node_of_prompt) node = nodes[node].place;
}

void set_representatives(std::span<const int32_t> node_of_prompt,
                         std::vector<PrefixNodes::Stored>& nodes) {
  for (size_t i = 0; i < node_of_prompt.size(); ++i) {
    int32_t& representative = nodes[node_of_prompt[i]].representative;
    representative = std::min(representative, static_cast<int32_t>(i));
  }
  // Children stand after their parents, so a pass from the back carries each first prompt up.
  for (size_t v = nodes.size(); v-- > 1;) {
    int32_t& of_parent = nodes[nodes[v].parent].representative;
    of_parent = std::min(of_parent, nodes[v].representative);
  }
  if (node_of_prompt.empty()) nodes[0].representative = 0;
}

}  // namespace

PrefixTree build_prefix_tree(const PromptStore& prompts, std::span<const int32_t> adapters) {
  CHECK(adapters.empty() || std::ssize(adapters) == prompts.size());
  CHECK(prompts.size() < (1 << 30));  // nodes, up to twice as many, are counted in int32
  for (int32_t i = 0; i < prompts.size(); ++i) {
    CHECK(prompts[i].size() < static_cast<size_t>(std::numeric_limits<int32_t>::max()));
  }
  Draft draft = make_nodes(prompts, sort_prompts(prompts, adapters));
  link_children(draft);
  Layout layout = lay_out(draft);
  PrefixTree tree;
  tree.order = std::move(layout.order);
  tree.node_of_prompt = std::move(draft.node_of_prompt);
  set_places(draft.nodes, tree.node_of_prompt);
  set_representatives(tree.node_of_prompt, layout.nodes);
  tree.nodes = {std::move(layout.nodes), prompts.size()};
  tree.adapters.assign(adapters.begin(), adapters.end());
  return tree;
}

PrefixTree flat_tree(const PromptStore& prompts, std::span<const int32_t> adapters) {
  CHECK(adapters.empty() || std::ssize(adapters) == prompts.size());
  const int32_t n_prompts = prompts.size();
  PrefixTree tree;
  tree.adapters.assign(adapters.begin(), adapters.end());
  std::vector<PrefixNodes::Stored> nodes(1);
  nodes.reserve(prompts.size() + size_t{2});
  tree.order.reserve(prompts.size());
  tree.node_of_prompt.resize(prompts.size(), 0);
  for (int32_t i = 0; i < n_prompts; ++i) {  // those that end at the root come first
    if (prompts[i].empty()) tree.order.push_back(i);
  }
  for (int32_t i = 0; i < n_prompts; ++i) {
    if (prompts[i].empty()) continue;
    const int32_t node = static_cast<int32_t>(nodes.size());
    nodes.push_back({0, node + 1, static_cast<int32_t>(prompts[i].size()), i,
                     static_cast<int32_t>(tree.order.size())});
    tree.node_of_prompt[i] = node;
    tree.order.push_back(i);
  }
  nodes[0].subtree_end = static_cast<int32_t>(nodes.size());
  tree.nodes = {std::move(nodes), n_prompts};
  return tree;
}

PrefixStats prefix_stats(const PrefixTree& tree) {
  PrefixStats stats;
  stats.n_prompts = std::ssize(tree.order);
  int64_t shared_tree_tokens = 0;
  int64_t shared_prompt_tokens = 0;
  for (const PrefixNode& node : tree.nodes) {
    const int64_t prompt_tokens = int64_t{node.n_tokens()} * node.n_prompts();
    stats.n_tree_tokens += node.n_tokens();
    stats.n_prompt_tokens += prompt_tokens;
    if (node.n_tokens() == 0 || node.n_prompts() < 2) continue;
    ++stats.n_shared_nodes;
    shared_tree_tokens += node.n_tokens();
    shared_prompt_tokens += prompt_tokens;
  }
  const auto ratio = [](int64_t a, int64_t b) {
    return b == 0 ? 0.0 : static_cast<double>(a) / static_cast<double>(b);
  };
  stats.saved_percent =
      100.0 * ratio(stats.n_prompt_tokens - stats.n_tree_tokens, stats.n_prompt_tokens);
  stats.mean_sharing_degree = ratio(shared_prompt_tokens, shared_tree_tokens);
  stats.mean_shared_tokens = ratio(shared_prompt_tokens, stats.n_prompts);
  return stats;
}

}  // namespace prefold
