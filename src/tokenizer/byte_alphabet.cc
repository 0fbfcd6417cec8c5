#include "tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

namespace prefold {
namespace {

constexpr int kAlphabetEnd = 0x144;  // 188 printable bytes stand for themselves, 68 from U+0100 on

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

// Code point to byte, -1 outside the alphabet.
constexpr std::array<int16_t, kAlphabetEnd> make_byte_of() {
  std::array<int16_t, kAlphabetEnd> byte_of{};
  for (int16_t& byte : byte_of) byte = -1;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    byte_of[stands_for_itself(byte) ? byte : next++] = static_cast<int16_t>(byte);
  }
  return byte_of;
}

constexpr std::array<int16_t, kAlphabetEnd> kByteOf = make_byte_of();

struct Spelling {
  char bytes[2];
  uint8_t n_bytes;
};

constexpr std::array<Spelling, 256> make_spellings() {
  std::array<Spelling, 256> spellings{};
  for (int code = 0; code < kAlphabetEnd; ++code) {
    if (kByteOf[code] < 0) continue;
    Spelling& spelling = spellings[kByteOf[code]];
    if (code < 0x80) {
      spelling = {{static_cast<char>(code), 0}, 1};
    } else {
      spelling = {{static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))},
                  2};
    }
  }
  return spellings;
}

constexpr std::array<Spelling, 256> kSpellings = make_spellings();

}  // namespace

std::optional<std::string> bytes_of_alphabet(std::string_view token) {
  std::string bytes;
  bytes.reserve(token.size());
  for (size_t i = 0; i < token.size();) {
    const uint8_t first = static_cast<uint8_t>(token[i]);
    uint32_t code = first;
    if (first < 0x80) {
      i += 1;
    } else if ((first & 0xe0) == 0xc0 && i + 1 < token.size()) {
      code = (first & 0x1fu) << 6 | (static_cast<uint8_t>(token[i + 1]) & 0x3fu);
      i += 2;
    } else {
      return std::nullopt;
    }
    if (code >= kByteOf.size() || kByteOf[code] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kByteOf[code]));
  }
  return bytes;
}

std::string_view spelling_of_byte(unsigned char byte) {
  return {kSpellings[byte].bytes, kSpellings[byte].n_bytes};
}

void append_in_alphabet(std::string_view bytes, std::string& out) {
  for (const char byte : bytes) out.append(spelling_of_byte(static_cast<unsigned char>(byte)));
}

}  // namespace prefold
