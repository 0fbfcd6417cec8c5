#include "tokenizer/charsmap.h"

#include <utf8proc.h>

#include <bit>
#include <cstring>

#include "base/error.h"
#include "tokenizer/char_class.h"
#include "tokenizer/utf8.h"

namespace prefold {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr size_t kMaxClusterBytes = 5;

// A unit of the double array: a label to compare with, an offset to the children, and whether a
// value is among them (at label 0).
bool has_value(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t value_of(uint32_t unit) { return unit & 0x7fffffffu; }
uint32_t label_of(uint32_t unit) { return unit & 0x800000ffu; }
uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & 0x200u) >> 6); }

// The size of the grapheme cluster at the start of text.
size_t cluster_bytes(std::string_view text) {
  const auto is_ascii = [&](size_t at) { return static_cast<unsigned char>(text[at]) < 0x80; };
  if (is_ascii(0) && text[0] != '\r' && (text.size() == 1 || is_ascii(1))) return 1;
  size_t pos = 0;
  char32_t before = next_char(text, pos);
  utf8proc_int32_t state = 0;
  while (pos < text.size()) {
    size_t next = pos;
    const char32_t c = next_char(text, next);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before),
                                         static_cast<utf8proc_int32_t>(c), &state)) {
      return pos;
    }
    before = c;
    pos = next;
  }
  return pos;
}

}  // namespace

Charsmap::Charsmap(std::string_view data) {
  uint32_t trie_bytes = 0;
  if (data.size() < sizeof(trie_bytes)) {
    throw FormatError(fmt::format("a charsmap of {} bytes; wanted at least 4", data.size()));
  }
  std::memcpy(&trie_bytes, data.data(), sizeof(trie_bytes));
  data.remove_prefix(sizeof(trie_bytes));
  if (trie_bytes % 4 != 0 || trie_bytes == 0 || trie_bytes > data.size()) {
    throw FormatError(
        fmt::format("a charsmap whose trie has {} bytes; wanted a multiple of 4, at "
                    "most {}",
                    trie_bytes, data.size()));
  }
  trie_.resize(trie_bytes / 4);
  std::memcpy(trie_.data(), data.data(), trie_bytes);
  replacements_ = data.substr(trie_bytes);
  if (find_invalid_utf8(replacements_) != std::string_view::npos) {
    throw FormatError("a charsmap whose replacements are not UTF-8");
  }
}

bool Charsmap::rewrite(std::string_view chunk, std::string_view& replacement) const {
  size_t node = offset_of(trie_[0]);
  for (const char c : chunk) {
    const uint32_t byte = static_cast<uint8_t>(c);
    if (byte == 0) return false;
    node ^= byte;
    if (node >= trie_.size()) return false;
    const uint32_t unit = trie_[node];
    if (label_of(unit) != byte) return false;
    node ^= offset_of(unit);
    if (node >= trie_.size()) return false;
    if (!has_value(unit)) continue;
    const size_t begin = value_of(trie_[node]);
    // A replacement may begin inside another, at a character.
    if (begin > replacements_.size() ||
        (begin < replacements_.size() &&
         (static_cast<uint8_t>(replacements_[begin]) & 0xc0) == 0x80)) {
      return false;
    }
    replacement = std::string_view(replacements_).substr(begin);
    replacement = replacement.substr(0, replacement.find('\0'));
    return true;
  }
  return false;
}

void Charsmap::apply(std::string_view text, std::string& out) const {
  std::string_view replacement;
  while (!text.empty()) {
    const std::string_view cluster = text.substr(0, cluster_bytes(text));
    text.remove_prefix(cluster.size());
    if (cluster.size() <= kMaxClusterBytes && rewrite(cluster, replacement)) {
      out.append(replacement);
      continue;
    }
    for (size_t pos = 0; pos < cluster.size();) {
      const size_t begin = pos;
      next_char(cluster, pos);
      const std::string_view one = cluster.substr(begin, pos - begin);
      out.append(rewrite(one, replacement) ? replacement : one);
    }
  }
}

}  // namespace prefold
