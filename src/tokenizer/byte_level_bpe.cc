#include "tokenizer/byte_level_bpe.h"

#include <string>

#include "base/error.h"
#include "tokenizer/byte_alphabet.h"

namespace prefold {
namespace {

using TokenIds = std::unordered_map<std::string_view, int32_t>;

Merge parse_merge(std::string_view line, size_t rank, const TokenIds& ids) {
  constexpr size_t kQuotedBytes = 80;
  const size_t space = line.find(' ', 1);
  if (space == std::string_view::npos || line.size() > 2 * kMaxTokenBytes + 1) {
    throw FormatError(
        fmt::format("tokenizer: merge {} is \"{}\"; expected two tokens and a space between them",
                    rank, line.substr(0, kQuotedBytes)));
  }
  const auto id_of = [&](std::string_view token) {
    const auto found = ids.find(token);
    if (found == ids.end()) {
      throw FormatError(
          fmt::format("tokenizer: merge {} is \"{}\", but \"{}\" is not in the vocabulary", rank,
                      line.substr(0, kQuotedBytes), token.substr(0, kQuotedBytes)));
    }
    return found->second;
  };
  const std::string_view left = line.substr(0, space);
  const std::string_view right = line.substr(space + 1);
  const std::string merged = std::string(left).append(right);
  return {id_of(left), id_of(right), static_cast<int32_t>(rank), id_of(merged)};
}

MergeTable build_merges(const Vocabulary& vocabulary) {
  // Of tokens spelled alike the last counts, as it does where Hugging Face builds its dictionary.
  TokenIds ids;
  ids.reserve(static_cast<size_t>(vocabulary.size()));
  for (int32_t id = 0; id < vocabulary.size(); ++id) ids[vocabulary.token(id)] = id;

  const std::vector<std::string>& lines = vocabulary.spec().merges;
  if (lines.size() > INT32_MAX) {
    throw FormatError(fmt::format("tokenizer: {} merges are too many", lines.size()));
  }
  std::vector<Merge> merges;
  merges.reserve(lines.size());
  for (size_t rank = 0; rank < lines.size(); ++rank) {
    merges.push_back(parse_merge(lines[rank], rank, ids));
  }
  return MergeTable(std::move(merges), vocabulary.size());
}

}  // namespace

ByteLevelBpe::ByteLevelBpe(const Vocabulary& vocabulary)
    : pre_tokenizer_(vocabulary.spec().pre), merges_(build_merges(vocabulary)) {
  byte_ids_.fill(-1);
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const TokenKind kind = vocabulary.kind(id);
    if (kind != TokenKind::kNormal && kind != TokenKind::kByte) continue;
    const std::string_view bytes = vocabulary.bytes(id);
    if (!bytes_of_alphabet(vocabulary.token(id))) continue;
    if (bytes.size() == 1) byte_ids_[static_cast<uint8_t>(bytes[0])] = id;
    if (pre_tokenizer_.whole_words_first()) whole_words_[bytes] = id;
  }
}

void ByteLevelBpe::encode(std::string_view text, EncodeScratch& scratch,
                          std::vector<int32_t>& ids) const {
  pre_tokenizer_.for_each_word(text, [&](std::string_view word) {
    append_word(scratch.cache, word, ids,
                [&](std::string_view missed) { return encode_word(missed, scratch); });
  });
}

std::span<const int32_t> ByteLevelBpe::encode_word(std::string_view word,
                                                   EncodeScratch& scratch) const {
  std::vector<int32_t>& symbols = scratch.symbols;
  symbols.clear();
  if (const auto whole = whole_words_.find(word); whole != whole_words_.end()) {
    symbols.push_back(whole->second);
    return symbols;
  }
  // A byte without a token is gone before merging, so that its neighbours can meet.
  for (const char byte : word) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(byte)];
    if (id >= 0) symbols.push_back(id);
  }
  apply_merges(merges_, scratch.merging, symbols);
  return symbols;
}

}  // namespace prefold
