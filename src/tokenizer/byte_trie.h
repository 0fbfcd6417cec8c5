// A trie over bytes for large vocabularies: its edges are in one hash table.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace prefold {

class ByteTrie {
 public:
  static constexpr int32_t kRoot = 0;
  static constexpr int32_t kNone = -1;

  // Of equal keys the last counts.
  void add(std::string_view key, int32_t value) {
    int32_t node = kRoot;
    for (const char byte : key) {
      int32_t next = child(node, byte);
      if (next == kNone) {
        next = static_cast<int32_t>(values_.size());
        values_.push_back(kNone);
        insert(edge(node, byte), next);
      }
      node = next;
    }
    values_[static_cast<size_t>(node)] = value;
  }

  // kNone if there is none.
  int32_t child(int32_t node, char byte) const {
    const uint64_t wanted = edge(node, byte);
    for (size_t slot = slot_of(wanted);; slot = (slot + 1) & (slots_.size() - 1)) {
      if (slots_[slot].edge == wanted) return slots_[slot].child;
      if (slots_[slot].edge == kNoEdge) return kNone;
    }
  }
  int32_t value(int32_t node) const { return values_[static_cast<size_t>(node)]; }

  int32_t find(std::string_view key) const {
    int32_t node = kRoot;
    for (const char byte : key) {
      node = child(node, byte);
      if (node == kNone) return kNone;
    }
    return value(node);
  }

 private:
  static constexpr uint64_t kNoEdge = UINT64_MAX;
  struct Slot {
    uint64_t edge = kNoEdge;
    int32_t child = kNone;
  };

  static uint64_t edge(int32_t node, char byte) {
    return static_cast<uint64_t>(node) << 8 | static_cast<uint8_t>(byte);
  }
  size_t slot_of(uint64_t edge) const {
    return static_cast<size_t>((edge * 0x9e3779b97f4a7c15u) >> 32) & (slots_.size() - 1);
  }
  void insert(uint64_t new_edge, int32_t new_child) {
    if (2 * values_.size() > slots_.size()) {
      std::vector<Slot> old(2 * slots_.size());
      old.swap(slots_);
      for (const Slot& slot : old) {
        if (slot.edge != kNoEdge) place(slot);
      }
    }
    place({new_edge, new_child});
  }
  void place(const Slot& slot) {
    size_t at = slot_of(slot.edge);
    while (slots_[at].edge != kNoEdge) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = slot;
  }

  std::vector<int32_t> values_ = {kNone};
  std::vector<Slot> slots_ = std::vector<Slot>(64);  // a power of two, at most half full
};

}  // namespace prefold
