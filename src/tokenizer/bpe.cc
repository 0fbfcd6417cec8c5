#include "tokenizer/bpe.h"

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/char_class.h"
#include "tokenizer/utf8.h"

namespace prefold {
namespace {

constexpr std::string_view kSpaceSymbol = "\xe2\x96\x81";  // U+2581, SentencePiece's space
constexpr size_t kQuotedBytes = 80;

using TokenIds = std::unordered_map<std::string_view, int32_t>;

// Of tokens spelled alike the last counts, as it does where Hugging Face builds its dictionary.
std::vector<Merge> listed_merges(const Vocabulary& vocabulary) {
  TokenIds ids;
  ids.reserve(static_cast<size_t>(vocabulary.size()));
  for (int32_t id = 0; id < vocabulary.size(); ++id) ids[vocabulary.token(id)] = id;

  const auto& pairs = vocabulary.spec().merges;
  if (pairs.size() > INT32_MAX) {
    throw FormatError(fmt::format("tokenizer: {} merges are too many", pairs.size()));
  }
  std::vector<Merge> merges;
  merges.reserve(pairs.size());
  std::string merged;
  for (size_t rank = 0; rank < pairs.size(); ++rank) {
    const std::string& left = pairs[rank].first;
    const std::string& right = pairs[rank].second;
    const auto id_of = [&](std::string_view token) {
      const auto found = ids.find(token);
      if (found == ids.end() || token.empty()) {
        throw FormatError(
            fmt::format("tokenizer: merge {} is \"{} {}\", but \"{}\" is not in the vocabulary",
                        rank, left.substr(0, kQuotedBytes), right.substr(0, kQuotedBytes),
                        token.substr(0, kQuotedBytes)));
      }
      return found->second;
    };
    merged.assign(left).append(right);
    merges.push_back({id_of(left), id_of(right), static_cast<int32_t>(rank), id_of(merged)});
  }
  return merges;
}

// Rank of each token: the place of its score among the distinct scores, best first. Equal scores
// have equal rank, so that the leftmost pair wins.
std::vector<int32_t> rank_by_score(const std::vector<double>& scores) {
  std::vector<double> distinct = scores;
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

// SentencePiece lists no merges: every way in which a piece is made of two others is one.
std::vector<Merge> implied_merges(const Vocabulary& vocabulary) {
  TokenIds pieces;
  pieces.reserve(static_cast<size_t>(vocabulary.size()));
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.kind(id) == TokenKind::kNormal) pieces[vocabulary.token(id)] = id;
  }
  const std::vector<int32_t> ranks = rank_by_score(vocabulary.spec().scores);
  std::vector<Merge> merges;
  for (const auto& [piece, id] : pieces) {
    if (piece.empty()) continue;
    for (size_t cut = next_utf8(piece).n_bytes; cut < piece.size();
         cut += next_utf8(piece.substr(cut)).n_bytes) {
      const auto left = pieces.find(piece.substr(0, cut));
      if (left == pieces.end()) continue;
      const auto right = pieces.find(piece.substr(cut));
      if (right == pieces.end()) continue;
      merges.push_back({left->second, right->second, ranks[static_cast<size_t>(id)], id});
    }
  }
  return merges;
}

bool has_inner_space(std::string_view token) {
  size_t pos = 0;
  while (token.substr(pos, kSpaceSymbol.size()) == kSpaceSymbol) pos += kSpaceSymbol.size();
  return token.find(kSpaceSymbol, pos) != std::string_view::npos;
}

// Where the next word begins: at a space symbol that follows something else.
size_t word_end(std::string_view text, size_t pos) {
  while (text.substr(pos, kSpaceSymbol.size()) == kSpaceSymbol) pos += kSpaceSymbol.size();
  return std::min(text.find(kSpaceSymbol, pos), text.size());
}

}  // namespace

Bpe::Bpe(const Vocabulary& vocabulary, bool words_are_bytes)
    : words_are_bytes_(words_are_bytes),
      byte_fallback_(vocabulary.spec().byte_fallback),
      fuse_unknown_(vocabulary.spec().fuse_unknown),
      unknown_id_(vocabulary.spec().unknown_id.value_or(-1)) {
  const TokenizerSpec& spec = vocabulary.spec();
  std::vector<Merge> merges = spec.model == TokenizerModel::kSentencePieceBpe
                                  ? implied_merges(vocabulary)
                                  : listed_merges(vocabulary);
  splits_before_spaces_ = !words_are_bytes && !spec.ignore_merges &&
                          std::none_of(merges.begin(), merges.end(), [&](const Merge& merge) {
                            return has_inner_space(vocabulary.token(merge.merged));
                          });
  merges_ = MergeTable(std::move(merges), vocabulary.size());

  ascii_.fill(-1);
  byte_tokens_.fill(-1);
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    if (!vocabulary.in_model(id)) continue;
    const std::string_view token = vocabulary.token(id);
    if (vocabulary.kind(id) == TokenKind::kByte && byte_fallback_) {
      byte_tokens_[vocabulary.byte_of(id)] = id;
      continue;
    }
    if (token.empty()) continue;
    size_t pos = 0;
    const char32_t c = next_char(token, pos);
    if (pos == token.size()) (c < 0x80 ? ascii_[c] : characters_[c]) = id;
    if (!spec.ignore_merges) continue;
    if (!words_are_bytes) {
      whole_words_[std::string(token)] = id;
    } else if (const auto bytes = bytes_of_alphabet(token)) {
      whole_words_[*bytes] = id;
    }
  }
  for (size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    byte_ids_[byte] = id_of_character(spelling_of_byte(static_cast<unsigned char>(byte)));
  }
}

int32_t Bpe::id_of_character(std::string_view character) const {
  size_t pos = 0;
  const char32_t c = next_char(character, pos);
  if (c < 0x80) return ascii_[c];
  const auto found = characters_.find(c);
  return found == characters_.end() ? -1 : found->second;
}

void Bpe::encode(std::string_view word, EncodeScratch& scratch, std::vector<int32_t>& ids) const {
  const auto append = [&](std::string_view part) {
    append_word(scratch.cache, part, ids,
                [&](std::string_view missed) { return encode_word(missed, scratch); });
  };
  if (!splits_before_spaces_) {
    append(word);
    return;
  }
  // No merge can cross the place where a space follows another character, so that cutting there
  // changes nothing, and short words can be cached.
  const size_t n_before = ids.size();
  for (size_t begin = 0; begin < word.size();) {
    const size_t end = word_end(word, begin);
    append(word.substr(begin, end - begin));
    begin = end;
  }
  if (!fuse_unknown_ || unknown_id_ < 0) return;
  const auto both_unknown = [&](int32_t a, int32_t b) { return a == b && a == unknown_id_; };
  const auto first = ids.begin() + static_cast<std::ptrdiff_t>(n_before);
  ids.erase(std::unique(first, ids.end(), both_unknown), ids.end());
}

// As Hugging Face tokenizers have it, byte tokens come before an unknown token that is still open.
void Bpe::add_unknown(std::string_view character, bool& pending_unknown,
                      std::vector<int32_t>& symbols) const {
  const auto byte_token = [&](char byte) { return byte_tokens_[static_cast<uint8_t>(byte)]; };
  if (byte_fallback_ && std::all_of(character.begin(), character.end(),
                                    [&](char byte) { return byte_token(byte) >= 0; })) {
    for (const char byte : character) symbols.push_back(byte_token(byte));
    return;
  }
  if (unknown_id_ < 0) return;
  if (pending_unknown && !fuse_unknown_) symbols.push_back(unknown_id_);
  pending_unknown = true;
}

std::span<const int32_t> Bpe::encode_word(std::string_view word, EncodeScratch& scratch) const {
  std::vector<int32_t>& symbols = scratch.symbols;
  symbols.clear();
  if (!whole_words_.empty()) {
    if (const auto whole = whole_words_.find(word); whole != whole_words_.end()) {
      symbols.push_back(whole->second);
      return symbols;
    }
  }
  bool pending_unknown = false;
  const auto add = [&](int32_t id, std::string_view character) {
    if (id < 0) {
      // Where it is to vanish, its neighbours can meet.
      add_unknown(character, pending_unknown, symbols);
      return;
    }
    if (pending_unknown) symbols.push_back(unknown_id_);
    pending_unknown = false;
    symbols.push_back(id);
  };
  if (words_are_bytes_) {
    for (const char c : word) {
      const auto byte = static_cast<unsigned char>(c);
      add(byte_ids_[byte], spelling_of_byte(byte));
    }
  } else {
    for (size_t pos = 0; pos < word.size();) {
      const size_t begin = pos;
      next_char(word, pos);
      const std::string_view character = word.substr(begin, pos - begin);
      add(id_of_character(character), character);
    }
  }
  if (pending_unknown) symbols.push_back(unknown_id_);
  apply_merges(merges_, scratch.merging, symbols);
  return symbols;
}

}  // namespace prefold
