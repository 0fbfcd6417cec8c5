#include "tokenizer/unigram.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "tokenizer/char_class.h"

namespace prefold {

Unigram::Unigram(const Vocabulary& vocabulary)
    : vocabulary_(&vocabulary), byte_fallback_(vocabulary.spec().byte_fallback) {
  constexpr double kUnknownPenalty = 10.0;
  const TokenizerSpec& spec = vocabulary.spec();
  if (!spec.unknown_id) throw FormatError("tokenizer: a unigram model without an unknown token");
  unknown_id_ = *spec.unknown_id;
  byte_tokens_.fill(-1);
  double lowest = std::numeric_limits<double>::infinity();
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    if (!vocabulary.in_model(id)) continue;
    lowest = std::min(lowest, spec.scores[static_cast<size_t>(id)]);
    if (!vocabulary.token(id).empty()) pieces_.add(vocabulary.token(id), id);
    if (byte_fallback_ && vocabulary.kind(id) == TokenKind::kByte) {
      byte_tokens_[vocabulary.byte_of(id)] = id;
    }
  }
  unknown_score_ = lowest - kUnknownPenalty;
}

void Unigram::encode(std::string_view word, EncodeScratch& scratch,
                     std::vector<int32_t>& ids) const {
  append_word(scratch.cache, word, ids,
              [&](std::string_view missed) { return encode_word(missed, scratch); });
}

// The Viterbi algorithm over the ends of pieces.
void Unigram::find_best_cuts(std::string_view word, std::vector<UnigramCut>& cuts) const {
  cuts.assign(word.size() + 1, UnigramCut{});
  const auto offer = [&](size_t begin, size_t end, int32_t id, double score) {
    UnigramCut& cut = cuts[end];
    const double sum = cuts[begin].score + score;
    if (cut.id < 0 || sum > cut.score) cut = {sum, begin, id};
  };
  for (size_t begin = 0; begin < word.size();) {
    size_t next = begin;
    next_char(word, next);
    bool has_character = false;
    int32_t node = ByteTrie::kRoot;
    for (size_t pos = begin; pos < word.size(); ++pos) {
      node = pieces_.child(node, word[pos]);
      if (node == ByteTrie::kNone) break;
      const int32_t id = pieces_.value(node);
      if (id == ByteTrie::kNone) continue;
      offer(begin, pos + 1, id, vocabulary_->spec().scores[static_cast<size_t>(id)]);
      has_character = has_character || pos + 1 == next;
    }
    if (!has_character) offer(begin, next, unknown_id_, unknown_score_);
    begin = next;
  }
}

// A run of unknown characters is looked up as a whole, and failing that is bytes or unknown.
void Unigram::append_piece(std::string_view piece, std::vector<int32_t>& symbols) const {
  const int32_t id = pieces_.find(piece);
  const auto byte_token = [&](char byte) { return byte_tokens_[static_cast<uint8_t>(byte)]; };
  if (id != ByteTrie::kNone) {
    symbols.push_back(id);
  } else if (byte_fallback_ && std::all_of(piece.begin(), piece.end(),
                                           [&](char byte) { return byte_token(byte) >= 0; })) {
    for (const char byte : piece) symbols.push_back(byte_token(byte));
  } else {
    symbols.push_back(unknown_id_);
  }
}

std::span<const int32_t> Unigram::encode_word(std::string_view word, EncodeScratch& scratch) const {
  std::vector<UnigramCut>& cuts = scratch.cuts;
  find_best_cuts(word, cuts);
  // Backwards along the best path, so that the pieces can be read forwards afterwards.
  std::vector<size_t>& begins = scratch.begins;
  begins.clear();
  bool after_unknown = false;
  for (size_t end = word.size(); end > 0; end = cuts[end].begin) {
    const bool unknown = cuts[end].id == unknown_id_;
    if (unknown && after_unknown) {
      begins.back() = cuts[end].begin;
    } else {
      begins.push_back(cuts[end].begin);
    }
    after_unknown = unknown;
  }
  std::vector<int32_t>& symbols = scratch.symbols;
  symbols.clear();
  while (!begins.empty()) {
    const size_t begin = begins.back();
    begins.pop_back();
    const size_t end = begins.empty() ? word.size() : begins.back();
    append_piece(word.substr(begin, end - begin), symbols);
  }
  return symbols;
}

}  // namespace prefold
