// The prefix tree as people read it: what `prefold plan` prints.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "plan/prefix_tree.h"

namespace prefold {

// Totals, then the shared prefixes that save most, at most max_rows of them: those under the root
// by tokens saved, each followed by the ones nested in it, indented; a row's tokens saved include
// those of the rows nested in it. preview(node) is the text shown for a node's tokens: one short
// line. Every line ends in a newline.
std::string render_plan_table(const PrefixTree& tree, int32_t max_rows,
                              const std::function<std::string(int32_t node)>& preview);

// 1234567 as 1,234,567; no negative numbers.
std::string grouped(int64_t number);

}  // namespace prefold
