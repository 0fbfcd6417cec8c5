// Words recur: their token ids are kept in a small direct-mapped table, one per thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace prefold {

class WordCache {
 public:
  // Forgets all words if they belong to another owner. owner_id: never 0.
  void set_owner(uint64_t owner_id) {
    if (owner_id == owner_id_) return;
    owner_id_ = owner_id;
    entries_.assign(kEntries, Entry{});
  }

  struct Entry {
    static constexpr size_t kMaxBytes = 26;
    static constexpr size_t kMaxIds = 9;

    uint8_t n_bytes = 0;  // 0: empty
    uint8_t n_ids = 0;
    char bytes[kMaxBytes];
    int32_t ids[kMaxIds];

    bool holds(std::string_view word) const {
      return n_bytes == word.size() && std::memcmp(bytes, word.data(), word.size()) == 0;
    }
    std::span<const int32_t> word_ids() const { return {ids, n_ids}; }
    // Replaces what was there, unless the word is too long to be kept.
    void store(std::string_view word, std::span<const int32_t> new_ids) {
      if (word.size() > kMaxBytes || new_ids.size() > kMaxIds) return;
      n_bytes = static_cast<uint8_t>(word.size());
      n_ids = static_cast<uint8_t>(new_ids.size());
      std::copy(word.begin(), word.end(), bytes);
      std::copy(new_ids.begin(), new_ids.end(), ids);
    }
  };
  static_assert(sizeof(Entry) == 64, "an entry is a cache line");

  // The only place where word (not empty) can be.
  Entry& entry_for(std::string_view word) {
    return entries_[std::hash<std::string_view>{}(word) % kEntries];
  }

 private:
  static constexpr size_t kEntries = 16384;  // 1 MiB

  uint64_t owner_id_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace prefold
