#include "io/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>

namespace prefold {
namespace {

using SipState = std::array<uint64_t, 4>;

void sip_rounds(SipState& v, int n) {
  for (int i = 0; i < n; ++i) {
    v[0] += v[1];
    v[1] = std::rotl(v[1], 13) ^ v[0];
    v[0] = std::rotl(v[0], 32);
    v[2] += v[3];
    v[3] = std::rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = std::rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = std::rotl(v[1], 17) ^ v[2];
    v[2] = std::rotl(v[2], 32);
  }
}

uint64_t digest_of(const SipState& v) { return v[0] ^ v[1] ^ v[2] ^ v[3]; }

void absorb_word(SipState& v, uint64_t word) {
  v[3] ^= word;
  sip_rounds(v, 2);
  v[0] ^= word;
}

// Up to 8 bytes, the first one lowest.
uint64_t load_little_endian(std::string_view bytes) {
  uint64_t word = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    word |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  return word;
}

// 8 bytes, likewise: what most of a long text goes through.
uint64_t load_word(const char* bytes) {
  static_assert(std::endian::native == std::endian::little);
  uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

FingerprintKey random_key() {
  std::random_device device;
  const auto word = [&] { return (static_cast<uint64_t>(device()) << 32) | device(); };
  return {word(), word()};
}

constexpr size_t kFirstSlots = 1024;

}  // namespace

Fingerprint fingerprint(const FingerprintKey& key, std::string_view bytes) {
  FingerprintStream stream(key);
  stream.add(bytes);
  return stream.value();
}

FingerprintStream::FingerprintStream(const FingerprintKey& key)
    : v_{key.k0 ^ 0x736f6d6570736575u, key.k1 ^ 0x646f72616e646f6du ^ 0xee,
         key.k0 ^ 0x6c7967656e657261u, key.k1 ^ 0x7465646279746573u} {}

void FingerprintStream::add(std::string_view bytes) {
  const size_t n_begun = n_bytes_ % begun_.size();
  n_bytes_ += bytes.size();
  if (n_begun > 0) {
    const size_t n = std::min(bytes.size(), begun_.size() - n_begun);
    std::copy_n(bytes.data(), n, begun_.data() + n_begun);
    if (n_begun + n < begun_.size()) return;
    absorb_word(v_, load_word(begun_.data()));
    bytes.remove_prefix(n);
  }
  SipState v = v_;  // in registers
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    absorb_word(v, load_word(bytes.data()));
  }
  v_ = v;
  std::copy_n(bytes.data(), bytes.size(), begun_.data());
}

Fingerprint FingerprintStream::value() const {
  SipState v = v_;
  absorb_word(v, load_little_endian({begun_.data(), n_bytes_ % begun_.size()}) | n_bytes_ << 56);
  Fingerprint value;
  v[2] ^= 0xee;
  sip_rounds(v, 4);
  value.low = digest_of(v);
  v[1] ^= 0xdd;
  sip_rounds(v, 4);
  value.high = digest_of(v);
  return value;
}

std::string to_hex(const Fingerprint& value) {
  std::string hex;
  for (const uint64_t word : {value.low, value.high}) {
    for (int i = 0; i < 8; ++i) hex += fmt::format("{:02x}", (word >> (8 * i)) & 0xff);
  }
  return hex;
}

FingerprintSet::FingerprintSet() : key_(random_key()), slots_(kFirstSlots) {}

// All zero stands for a free slot.
Fingerprint FingerprintSet::value_of(std::string_view bytes) const {
  Fingerprint value = fingerprint(key_, bytes);
  if (value == Fingerprint{}) value.low = 1;
  return value;
}

bool FingerprintSet::insert(std::string_view bytes) {
  const Fingerprint value = value_of(bytes);
  if (n_used_ + 1 > slots_.size() / 4 * 3) grow();
  Fingerprint& slot = slots_[slot_of(value)];
  if (slot == value) return false;
  slot = value;
  n_used_ += 1;
  return true;
}

bool FingerprintSet::contains(std::string_view bytes) const {
  const Fingerprint value = value_of(bytes);
  return slots_[slot_of(value)] == value;
}

// Where the value is, or would be.
size_t FingerprintSet::slot_of(const Fingerprint& value) const {
  const size_t mask = slots_.size() - 1;
  size_t at = value.high & mask;
  while (slots_[at] != Fingerprint{} && slots_[at] != value) at = (at + 1) & mask;
  return at;
}

void FingerprintSet::grow() {
  std::vector<Fingerprint> old(slots_.size() * 2);
  old.swap(slots_);
  for (const Fingerprint& value : old) {
    if (value != Fingerprint{}) slots_[slot_of(value)] = value;
  }
}

}  // namespace prefold
