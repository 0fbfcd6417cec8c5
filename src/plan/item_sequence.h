// A job's items (plan/shards.h) in the depth-first order of the prefix tree, as flat arrays in
// which what a run of neighbours costs is two look-ups.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/shards.h"

namespace prefold {

// An item stands where its first prompt in PrefixTree::order does. Nodes that only one item is
// below are part of the item; of an item with prompts in several subtrees the other nodes that it
// shares are not seen here, so that its cost is a lower bound then.
struct ItemSequence {
  std::vector<int32_t> item;   // by place
  std::vector<int64_t> alone;  // by place: what no other item shares
  std::vector<int64_t> path;   // by place: the shared nodes from the root on
  std::vector<int64_t> joint;  // by place: of the path, what the place before has too; first: 0
  std::vector<int64_t> sum;    // by place, and one more: of alone + path - joint before it
  std::vector<int32_t>
      place_at;        // by position in PrefixTree::order, and one more: places before it
  int64_t common = 0;  // the path that all items share; with one item, 0

  int32_t size() const { return static_cast<int32_t>(item.size()); }
  // Places [begin, end), not empty, in a shard of their own.
  int64_t cost(int32_t begin, int32_t end) const { return sum[end] - sum[begin] + joint[begin]; }
};

ItemSequence make_item_sequence(const PrefixTree& tree, const ShardWork& work);

// Neighbouring places that are packed together.
struct PlaceRange {
  int32_t begin = 0;
  int32_t end = 0;
};

// The sequence cut into whole subtrees that cost at most `limit`, and the items of the nodes above
// those; what lies above the deepest node that all share is always taken apart. Neighbours that
// cost at most `grain` together are one range.
std::vector<PlaceRange> subtrees_within(const PrefixTree& tree, const ItemSequence& sequence,
                                        int64_t limit, int64_t grain);

}  // namespace prefold
