// Work memory of encoding, one per thread, kept from call to call.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/word_cache.h"

namespace prefold {

struct EncodeScratch {
  WordCache cache;
  MergeScratch merging;
  std::vector<int32_t> symbols;
  std::string text;

  // Frees what an unusually long word has taken.
  void trim() {
    constexpr size_t kKeptSymbols = 1 << 16;
    if (symbols.capacity() > kKeptSymbols) symbols = {};
    if (merging.next.capacity() > kKeptSymbols) merging = {};
    if (text.capacity() > kKeptSymbols) text = {};
  }
};

// Appends the ids of word (not empty): from the cache, else from encode(word), which returns a span
// that lives at least until the next call.
template <typename EncodeFn>
void append_word(WordCache& cache, std::string_view word, std::vector<int32_t>& ids,
                 EncodeFn&& encode) {
  WordCache::Entry& entry = cache.entry_for(word);
  if (entry.holds(word)) {
    ids.insert(ids.end(), entry.word_ids().begin(), entry.word_ids().end());
    return;
  }
  const std::span<const int32_t> word_ids = encode(word);
  ids.insert(ids.end(), word_ids.begin(), word_ids.end());
  entry.store(word, word_ids);
}

}  // namespace prefold
