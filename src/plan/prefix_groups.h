// The groups that a job falls into by what its prompts begin with.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/prefix_tree.h"

namespace prefold {

// The deepest node that all prompts share (a start-of-text token, the head of a chat template): the
// root, or below it. What all share sets nobody apart: the job's parts are the subtrees below it.
int32_t common_node(const PrefixTree& tree);

// The children of common_node with at least min_prompts prompts, in ascending order.
std::vector<int32_t> prefix_groups(const PrefixTree& tree, int32_t min_prompts);

// The index in `groups` of the group that a node belongs to, itself included; -1: to none.
int32_t group_of_node(const PrefixTree& tree, const std::vector<int32_t>& groups, int32_t node);

}  // namespace prefold
