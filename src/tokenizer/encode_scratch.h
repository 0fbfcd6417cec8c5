// Work memory of encoding, one per thread, kept from call to call.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/word_cache.h"

namespace prefold {

// The best way to cut a word up to some place: its last piece and the sum of scores.
struct UnigramCut {
  double score = 0.0;
  size_t begin = 0;
  int32_t id = -1;  // -1: no piece ends here
};

struct EncodeScratch {
  WordCache cache;
  MergeScratch merging;
  PreTokenizerScratch pre_tokenizing;
  std::vector<int32_t> symbols;
  std::vector<UnigramCut> cuts;
  std::vector<size_t> begins;
  std::string normalized;
  std::string spare;

  // Frees what an unusually long text has taken.
  void trim() {
    constexpr size_t kKept = 1 << 16;
    if (symbols.capacity() > kKept) symbols = {};
    if (merging.next.capacity() > kKept) merging = {};
    if (cuts.capacity() > kKept) cuts = {};
    if (begins.capacity() > kKept) begins = {};
    if (normalized.capacity() > kKept) normalized = {};
    if (spare.capacity() > kKept) spare = {};
    for (PreTokenizerScratch::Level& level : pre_tokenizing.levels) {
      if (level.text.capacity() > kKept || level.parts.capacity() > kKept) level = {};
    }
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
