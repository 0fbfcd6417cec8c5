#include "io/fingerprint.h"

#include <fmt/format.h>

#include <bit>
#include <random>

namespace prefold {
namespace {

struct SipState {
  uint64_t v0, v1, v2, v3;

  void rounds(int n) {
    for (int i = 0; i < n; ++i) {
      v0 += v1;
      v1 = std::rotl(v1, 13) ^ v0;
      v0 = std::rotl(v0, 32);
      v2 += v3;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1;
      v1 = std::rotl(v1, 17) ^ v2;
      v2 = std::rotl(v2, 32);
    }
  }
  uint64_t digest() const { return v0 ^ v1 ^ v2 ^ v3; }
};

// Up to 8 bytes, the first one lowest.
uint64_t load_little_endian(std::string_view bytes) {
  uint64_t word = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    word |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
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
  SipState state{key.k0 ^ 0x736f6d6570736575u, key.k1 ^ 0x646f72616e646f6du ^ 0xee,
                 key.k0 ^ 0x6c7967656e657261u, key.k1 ^ 0x7465646279746573u};
  const auto absorb = [&](uint64_t word) {
    state.v3 ^= word;
    state.rounds(2);
    state.v0 ^= word;
  };
  const uint64_t n_bytes = bytes.size();
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) absorb(load_little_endian(bytes.substr(0, 8)));
  absorb(load_little_endian(bytes) | n_bytes << 56);

  Fingerprint value;
  state.v2 ^= 0xee;
  state.rounds(4);
  value.low = state.digest();
  state.v1 ^= 0xdd;
  state.rounds(4);
  value.high = state.digest();
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

bool FingerprintSet::insert(std::string_view bytes) {
  Fingerprint value = fingerprint(key_, bytes);
  if (value == Fingerprint{}) value.low = 1;
  if (n_used_ + 1 > slots_.size() / 4 * 3) grow();
  Fingerprint& slot = slot_of(value);
  if (slot == value) return false;
  slot = value;
  n_used_ += 1;
  return true;
}

Fingerprint& FingerprintSet::slot_of(const Fingerprint& value) {
  const size_t mask = slots_.size() - 1;
  size_t at = value.high & mask;
  while (slots_[at] != Fingerprint{} && slots_[at] != value) at = (at + 1) & mask;
  return slots_[at];
}

void FingerprintSet::grow() {
  std::vector<Fingerprint> old(slots_.size() * 2);
  old.swap(slots_);
  for (const Fingerprint& value : old) {
    if (value != Fingerprint{}) slot_of(value) = value;
  }
}

}  // namespace prefold
