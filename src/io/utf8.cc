#include "io/utf8.h"

#include <algorithm>

namespace prefold {
namespace {

// By the lead byte: the character's length and the range of its second byte (Unicode, table 3-7).
struct LeadByte {
  size_t n_bytes;
  unsigned char second_min;
  unsigned char second_max;
};

LeadByte classify(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xc2) return {0, 0, 0};
  if (byte < 0xe0) return {2, 0x80, 0xbf};
  if (byte == 0xe0) return {3, 0xa0, 0xbf};
  if (byte == 0xed) return {3, 0x80, 0x9f};
  if (byte < 0xf0) return {3, 0x80, 0xbf};
  if (byte == 0xf0) return {4, 0x90, 0xbf};
  if (byte < 0xf4) return {4, 0x80, 0xbf};
  if (byte == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

}  // namespace

Utf8Char first_utf8_char(std::string_view text) {
  const LeadByte lead = classify(static_cast<unsigned char>(text[0]));
  if (lead.n_bytes == 0) return {1, false, false};
  for (size_t i = 1; i < lead.n_bytes; ++i) {
    if (i == text.size()) return {i, false, true};
    const auto byte = static_cast<unsigned char>(text[i]);
    const unsigned char min = i == 1 ? lead.second_min : 0x80;
    const unsigned char max = i == 1 ? lead.second_max : 0xbf;
    if (byte < min || byte > max) return {i, false, false};
  }
  return {lead.n_bytes, true, false};
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      at += 1;
      continue;
    }
    const Utf8Char character = first_utf8_char(text.substr(at));
    if (!character.valid) return at;
    at += character.n_bytes;
  }
  return at;
}

bool is_valid_utf8(std::string_view text) { return valid_utf8_prefix(text) == text.size(); }

std::string_view utf8_head(std::string_view text, size_t n_bytes) {
  if (text.size() <= n_bytes) return text;
  size_t end = n_bytes;
  for (int i = 0; i < 3 && end > 0; ++i) {
    if ((static_cast<unsigned char>(text[end]) & 0xc0) != 0x80) break;
    end -= 1;
  }
  return text.substr(0, end);
}

void Utf8Counter::push(std::string_view bytes) {
  begun_ += bytes;
  std::string_view rest = begun_;
  while (!rest.empty()) {
    const Utf8Char character = first_utf8_char(rest);
    if (character.cut_short) break;
    rest.remove_prefix(character.n_bytes);
    n_complete_ += 1;
  }
  begun_.erase(0, begun_.size() - rest.size());
}

}  // namespace prefold
