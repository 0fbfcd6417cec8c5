// The groups that a job falls into by what its prompts begin with.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/prefix_tree.h"

namespace prefold {

// The deepest nodes that all prompts of an adapter share (a start-of-text token, the head of a chat
// template), in ascending order but for the root, which stands for all adapters whose prompts begin
// differently. What all share sets nobody apart: the job's parts are the subtrees below these
// nodes.
std::vector<int32_t> common_nodes(const PrefixTree& tree);

// The job's parts with at least min_prompts prompts, as nodes in ascending order.
std::vector<int32_t> prefix_groups(const PrefixTree& tree, int32_t min_prompts);

// The index in `groups` of the group that a node belongs to, itself included; -1: to none.
int32_t group_of_node(const PrefixTree& tree, const std::vector<int32_t>& groups, int32_t node);

}  // namespace prefold
