#include "tokenizer/sentencepiece_bpe.h"

#include <algorithm>
#include <functional>
#include <string>

#include "tokenizer/utf8.h"

namespace prefold {
namespace {

constexpr std::string_view kSpaceSymbol = "\xe2\x96\x81";  // U+2581

using Pieces = std::unordered_map<std::string_view, int32_t>;

// Pieces that text is made of, spelled with plain spaces; of equals the last counts.
Pieces collect_pieces(const Vocabulary& vocabulary) {
  Pieces pieces;
  pieces.reserve(static_cast<size_t>(vocabulary.size()));
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    // A plain space in the stored piece never meets a text, whose spaces are all U+2581 by then.
    const bool reachable = vocabulary.kind(id) == TokenKind::kNormal &&
                           vocabulary.token(id).find(' ') == std::string_view::npos;
    if (reachable && !vocabulary.bytes(id).empty()) pieces[vocabulary.bytes(id)] = id;
  }
  return pieces;
}

// Rank of each token: the place of its score among the distinct scores, best first. Equal scores
// have equal rank, so that the leftmost pair wins.
std::vector<int32_t> rank_by_score(const std::vector<float>& scores) {
  std::vector<float> distinct = scores;
  std::sort(distinct.begin(), distinct.end(), std::greater<>());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  std::vector<int32_t> ranks(scores.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    const auto place =
        std::lower_bound(distinct.begin(), distinct.end(), scores[i], std::greater<>());
    ranks[i] = static_cast<int32_t>(place - distinct.begin());
  }
  return ranks;
}

// Every way in which a piece is made of two others.
MergeTable build_merges(const Vocabulary& vocabulary, const Pieces& pieces) {
  const std::vector<int32_t> ranks = rank_by_score(vocabulary.spec().scores);
  std::vector<Merge> merges;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string_view piece = vocabulary.bytes(id);
    const auto current = pieces.find(piece);
    if (current == pieces.end() || current->second != id) continue;
    for (size_t cut = next_utf8(piece).n_bytes; cut < piece.size();
         cut += next_utf8(piece.substr(cut)).n_bytes) {
      const auto left = pieces.find(piece.substr(0, cut));
      if (left == pieces.end()) continue;
      const auto right = pieces.find(piece.substr(cut));
      if (right == pieces.end()) continue;
      merges.push_back({left->second, right->second, ranks[static_cast<size_t>(id)], id});
    }
  }
  return MergeTable(std::move(merges), vocabulary.size());
}

bool has_inner_space(std::string_view piece) {
  const size_t first_other = piece.find_first_not_of(' ');
  return first_other != std::string_view::npos &&
         piece.find(' ', first_other) != std::string_view::npos;
}

}  // namespace

SentencePieceBpe::SentencePieceBpe(const Vocabulary& vocabulary)
    : add_space_prefix_(vocabulary.spec().add_space_prefix),
      unknown_id_(vocabulary.spec().unknown_id.value_or(-1)) {
  const Pieces pieces = collect_pieces(vocabulary);
  merges_ = build_merges(vocabulary, pieces);
  splits_before_spaces_ = std::none_of(
      pieces.begin(), pieces.end(), [](const auto& piece) { return has_inner_space(piece.first); });
  for (const auto& [piece, id] : pieces) {
    if (next_utf8(piece).n_bytes == piece.size()) characters_[piece] = id;
  }
  byte_ids_.fill(-1);
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.kind(id) == TokenKind::kByte) {
      byte_ids_[static_cast<uint8_t>(vocabulary.bytes(id)[0])] = id;
    }
  }
}

void SentencePieceBpe::encode(std::string_view text, EncodeScratch& scratch,
                              std::vector<int32_t>& ids) const {
  // The text with a plain space for each U+2581 in it: to SentencePiece they are the same.
  std::string& spaced = scratch.text;
  spaced.clear();
  if (add_space_prefix_) spaced.push_back(' ');
  for (size_t pos = 0; pos < text.size();) {
    const size_t symbol = std::min(text.find(kSpaceSymbol, pos), text.size());
    spaced.append(text.substr(pos, symbol - pos));
    if (symbol < text.size()) spaced.push_back(' ');
    pos = symbol + kSpaceSymbol.size();
  }

  const size_t n_before = ids.size();
  const std::string_view rest = spaced;
  for (size_t begin = 0; begin < rest.size();) {
    size_t end = rest.size();
    if (splits_before_spaces_) {
      // No merge can cross the place where a space follows another character, so that cutting
      // there changes nothing, and short words can be cached.
      const size_t first_other = std::min(rest.find_first_not_of(' ', begin), rest.size());
      end = std::min(rest.find(' ', first_other), rest.size());
    }
    append_word(scratch.cache, rest.substr(begin, end - begin), ids,
                [&](std::string_view missed) { return encode_word(missed, scratch); });
    begin = end;
  }
  // Neighbouring unknown characters are one unknown token.
  const auto first = ids.begin() + static_cast<std::ptrdiff_t>(n_before);
  const auto both_unknown = [&](int32_t a, int32_t b) { return a == b && a == unknown_id_; };
  ids.erase(std::unique(first, ids.end(), both_unknown), ids.end());
}

std::span<const int32_t> SentencePieceBpe::encode_word(std::string_view word,
                                                       EncodeScratch& scratch) const {
  std::vector<int32_t>& symbols = scratch.symbols;
  symbols.clear();
  for (size_t pos = 0; pos < word.size();) {
    const std::string_view character = word.substr(pos, next_utf8(word.substr(pos)).n_bytes);
    pos += character.size();
    if (const auto known = characters_.find(character); known != characters_.end()) {
      symbols.push_back(known->second);
      continue;
    }
    const auto byte_id = [&](char byte) { return byte_ids_[static_cast<uint8_t>(byte)]; };
    if (std::all_of(character.begin(), character.end(),
                    [&](char byte) { return byte_id(byte) >= 0; })) {
      for (const char byte : character) symbols.push_back(byte_id(byte));
    } else if (unknown_id_ >= 0) {
      symbols.push_back(unknown_id_);
    }
  }
  apply_merges(merges_, scratch.merging, symbols);
  return symbols;
}

}  // namespace prefold
