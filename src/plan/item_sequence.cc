#include "plan/item_sequence.h"

#include <algorithm>

#include "base/check.h"

namespace prefold {
namespace {

// By node, the item that all prompts below it belong to; kSeveral if there is more than one.
constexpr int32_t kSeveral = -2;
constexpr int32_t kNone = -1;

std::vector<int32_t> only_items(const PrefixTree& tree, const ShardWork& work) {
  std::vector<int32_t> only(tree.nodes.size(), kNone);
  const auto add = [&](int32_t node, int32_t item) {
    only[node] = only[node] == kNone || only[node] == item ? item : kSeveral;
  };
  for (size_t p = 0; p < tree.node_of_prompt.size(); ++p) {
    add(tree.node_of_prompt[p], work.item_of_prompt[p]);
  }
  for (size_t v = tree.nodes.size(); v-- > 1;) add(tree.nodes[v].parent, only[v]);
  return only;
}

}  // namespace

ItemSequence make_item_sequence(const PrefixTree& tree, const ShardWork& work) {
  CHECK(work.node_cost.size() == tree.nodes.size());
  CHECK(work.item_of_prompt.size() == tree.node_of_prompt.size());
  const std::vector<int32_t> only = only_items(tree, work);
  std::vector<int64_t> alone = work.item_cost;
  std::vector<int64_t> path(tree.nodes.size(), 0);
  for (size_t v = 0; v < tree.nodes.size(); ++v) {
    if (v > 0) path[v] = path[tree.nodes[v].parent];
    if (only[v] == kSeveral) {
      path[v] += work.node_cost[v];
    } else if (only[v] != kNone) {
      alone[only[v]] += work.node_cost[v];
    }
  }

  ItemSequence sequence;
  sequence.sum.push_back(0);
  std::vector<bool> placed(work.item_cost.size(), false);
  int32_t before = -1;  // position of the item before
  for (int32_t position = 0; position < std::ssize(tree.order); ++position) {
    sequence.place_at.push_back(sequence.size());
    const int32_t prompt = tree.order[position];
    const int32_t item = work.item_of_prompt[prompt];
    if (placed[item]) continue;
    placed[item] = true;
    const int32_t node = tree.node_of_prompt[prompt];
    int64_t joint = 0;
    if (before >= 0) {
      // The way up passes each edge of the tree once in all.
      int32_t v = node;
      while (tree.nodes[v].first > before) v = tree.nodes[v].parent;
      joint = path[v];
    }
    sequence.item.push_back(item);
    sequence.alone.push_back(alone[item]);
    sequence.path.push_back(path[node]);
    sequence.joint.push_back(joint);
    sequence.sum.push_back(sequence.sum.back() + alone[item] + path[node] - joint);
    before = position;
  }
  sequence.place_at.push_back(sequence.size());
  CHECK(sequence.item.size() == work.item_cost.size());  // every item has a prompt
  if (sequence.size() > 1) {
    sequence.common = *std::min_element(sequence.joint.begin() + 1, sequence.joint.end());
  }
  return sequence;
}

std::vector<PlaceRange> subtrees_within(const PrefixTree& tree, const ItemSequence& sequence,
                                        int64_t limit, int64_t grain) {
  std::vector<PlaceRange> ranges;
  const auto add = [&](int32_t begin, int32_t end) {
    if (begin == end) return;
    if (!ranges.empty() && sequence.cost(ranges.back().begin, end) <= grain) {
      ranges.back().end = end;
    } else {
      ranges.push_back({begin, end});
    }
  };
  const auto n_nodes = static_cast<int32_t>(tree.nodes.size());
  for (int32_t v = 0; v < n_nodes;) {
    const PrefixNode& node = tree.nodes[v];
    const int32_t begin = sequence.place_at[node.first];
    const int32_t end = sequence.place_at[node.last];
    const bool shared_by_all = node.n_prompts() == std::ssize(tree.order);
    if (begin == end) {
      v = node.subtree_end;
    } else if (!shared_by_all && sequence.cost(begin, end) <= limit) {
      add(begin, end);
      v = node.subtree_end;
    } else {
      const bool has_child = v + 1 < node.subtree_end;
      const int32_t own_end = has_child ? sequence.place_at[tree.nodes[v + 1].first] : end;
      for (int32_t place = begin; place < own_end; ++place) add(place, place + 1);
      ++v;
    }
  }
  return ranges;
}

}  // namespace prefold
