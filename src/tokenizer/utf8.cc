#include "tokenizer/utf8.h"

#include <cstdint>
#include <cstring>

namespace prefold {
namespace {

// The length that a lead byte promises, 0 if it cannot lead; and the range of the second byte,
// which is what excludes overlong forms, surrogates and code points above U+10FFFF.
struct Lead {
  size_t n_bytes;
  uint8_t second_min;
  uint8_t second_max;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xc2) return {0, 0, 0};
  if (byte < 0xe0) return {2, 0x80, 0xbf};
  if (byte < 0xf0) {
    return {3, static_cast<uint8_t>(byte == 0xe0 ? 0xa0 : 0x80),
            static_cast<uint8_t>(byte == 0xed ? 0x9f : 0xbf)};
  }
  if (byte < 0xf5) {
    return {4, static_cast<uint8_t>(byte == 0xf0 ? 0x90 : 0x80),
            static_cast<uint8_t>(byte == 0xf4 ? 0x8f : 0xbf)};
  }
  return {0, 0, 0};
}

// Bytes of ASCII at the start of text, counted eight at a time.
size_t ascii_bytes(std::string_view text) {
  size_t n = 0;
  uint64_t block;
  while (text.size() - n >= sizeof(block)) {
    std::memcpy(&block, text.data() + n, sizeof(block));
    if (block & 0x8080808080808080u) break;
    n += sizeof(block);
  }
  while (n < text.size() && static_cast<uint8_t>(text[n]) < 0x80) ++n;
  return n;
}

}  // namespace

Utf8Unit next_utf8(std::string_view text) {
  const Lead lead = lead_of(static_cast<uint8_t>(text[0]));
  if (lead.n_bytes == 0) return {1, false, false};
  for (size_t i = 1; i < lead.n_bytes; ++i) {
    if (i == text.size()) return {i, false, true};
    const uint8_t byte = static_cast<uint8_t>(text[i]);
    const uint8_t min = i == 1 ? lead.second_min : 0x80;
    const uint8_t max = i == 1 ? lead.second_max : 0xbf;
    if (byte < min || byte > max) return {i, false, false};
  }
  return {lead.n_bytes, true, false};
}

size_t find_invalid_utf8(std::string_view text) {
  size_t pos = 0;
  while (true) {
    pos += ascii_bytes(text.substr(pos));
    if (pos == text.size()) return std::string_view::npos;
    const Utf8Unit unit = next_utf8(text.substr(pos));
    if (!unit.valid) return pos;
    pos += unit.n_bytes;
  }
}

void append_lossy_utf8(std::string_view text, std::string& out) {
  while (true) {
    const size_t bad = find_invalid_utf8(text);
    out.append(text.substr(0, bad));
    if (bad == std::string_view::npos) return;
    out.append(kReplacementCharacter);
    text.remove_prefix(bad);
    text.remove_prefix(next_utf8(text).n_bytes);
    if (text.empty()) return;
  }
}

size_t complete_utf8_bytes(std::string_view text) {
  // A truncated character is at most three bytes long and starts with a lead byte.
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const size_t pos = text.size() - back;
    if ((static_cast<uint8_t>(text[pos]) & 0xc0) == 0x80) continue;
    const Utf8Unit unit = next_utf8(text.substr(pos));
    return unit.truncated && unit.n_bytes == back ? pos : text.size();
  }
  return text.size();
}

}  // namespace prefold
