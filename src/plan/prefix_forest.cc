#include "plan/prefix_forest.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <queue>
#include <utility>
#include <vector>

namespace prefold {
namespace {

// By node: tokens of prompts at and below it. A parent has at least as many as a child.
std::vector<int64_t> used_tokens(const PrefixTree& tree) {
  std::vector<int64_t> used(tree.nodes.size());
  for (size_t i = tree.nodes.size(); i-- > 0;) {
    const PrefixNode& node = tree.nodes[i];
    used[i] += int64_t{node.n_tokens()} * node.n_prompts();
    if (i > 0) used[node.parent] += used[i];
  }
  return used;
}

// In ascending order.
std::vector<int32_t> heaviest(const PrefixTree& tree, size_t max_nodes) {
  const std::vector<int64_t> used = used_tokens(tree);
  std::priority_queue<std::pair<int64_t, int32_t>> waiting;  // tokens, minus the node
  waiting.emplace(used[0], 0);
  std::vector<int32_t> chosen;
  while (!waiting.empty() && chosen.size() < max_nodes) {
    const int32_t i = -waiting.top().second;
    waiting.pop();
    chosen.push_back(i);
    for (int32_t c = i + 1; c < tree.nodes[i].subtree_end; c = tree.nodes[c].subtree_end) {
      waiting.emplace(used[c], -c);
    }
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace

nlohmann::ordered_json prefix_forest_json(const PrefixTree& tree, size_t max_nodes,
                                          const std::function<int64_t(int32_t prompt)>& place_of) {
  const std::vector<int32_t> chosen = heaviest(tree, max_nodes);
  std::vector<int64_t> hidden_nodes(chosen.size()), hidden_tokens(chosen.size());
  size_t place = 0;
  std::vector<size_t> path;  // places of the chosen nodes that the current one is below
  for (int32_t i = 0; i < static_cast<int32_t>(tree.nodes.size()); ++i) {
    while (!path.empty() && i >= tree.nodes[chosen[path.back()]].subtree_end) path.pop_back();
    if (place < chosen.size() && chosen[place] == i) {
      path.push_back(place++);
      continue;
    }
    ++hidden_nodes[path.back()];
    hidden_tokens[path.back()] += tree.nodes[i].n_tokens();
  }
  using Json = nlohmann::ordered_json;
  Json json;
  for (const char* name :
       {"parent", "depth", "tokens", "prompts", "first_request", "hidden_nodes", "hidden_tokens"}) {
    json[name] = Json::array();
  }
  for (size_t k = 0; k < chosen.size(); ++k) {
    const PrefixNode& node = tree.nodes[chosen[k]];
    if (k == 0) {
      json["parent"].push_back(nullptr);
    } else {
      const auto parent = std::lower_bound(chosen.begin(), chosen.end(), node.parent);
      json["parent"].push_back(parent - chosen.begin());
    }
    json["depth"].push_back(node.depth_begin);
    json["tokens"].push_back(node.n_tokens());
    json["prompts"].push_back(node.n_prompts());
    json["first_request"].push_back(node.n_prompts() > 0 ? place_of(node.representative) : 0);
    json["hidden_nodes"].push_back(hidden_nodes[k]);
    json["hidden_tokens"].push_back(hidden_tokens[k]);
  }
  return json;
}

}  // namespace prefold
