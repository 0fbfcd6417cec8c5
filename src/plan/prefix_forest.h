// What a job's prompts share, in few numbers: the heavy part of the prefix tree, for the report.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>

#include "plan/prefix_tree.h"

namespace prefold {

// {"parent", "depth", "tokens", "prompts", "first_request", "hidden_nodes", "hidden_tokens"}:
// equally long arrays, an entry a node, the root first (parent null), each after its parent and
// siblings in the order of the tree. Listed are the max_nodes nodes with the most tokens of prompts
// at and below them (shared ones as often as they are used), which makes parents come before
// children; what is below a node and not listed is summed up with it. `place_of`: where a prompt
// stands in the input. max_nodes is 1 or more.
nlohmann::ordered_json prefix_forest_json(const PrefixTree& tree, size_t max_nodes,
                                          const std::function<int64_t(int32_t prompt)>& place_of);

}  // namespace prefold
