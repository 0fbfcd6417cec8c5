// 128-bit fingerprints of byte strings: SipHash-2-4 with 128 bits of output (Aumasson and
// Bernstein, "SipHash: a fast short-input PRF", 2012).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace prefold {

struct Fingerprint {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const Fingerprint&) const = default;
};

struct FingerprintKey {
  uint64_t k0 = 0;
  uint64_t k1 = 0;
};

Fingerprint fingerprint(const FingerprintKey& key, std::string_view bytes);

// The same of bytes that come in parts.
class FingerprintStream {
 public:
  explicit FingerprintStream(const FingerprintKey& key = {});
  void add(std::string_view bytes);
  int64_t n_bytes() const { return static_cast<int64_t>(n_bytes_); }
  Fingerprint value() const;  // of all so far

 private:
  std::array<uint64_t, 4> v_;
  uint64_t n_bytes_ = 0;
  std::array<char, 8> begun_{};  // the last n_bytes_ % 8 bytes
};

// 32 lower-case hexadecimal digits, in the order of the algorithm's output bytes.
std::string to_hex(const Fingerprint& value);

// A set of strings that remembers 16 bytes of each: at most 43 bytes a string in memory, 64 while
// it grows. Two different strings count as equal with a chance of 2^-128, which is 10^-24 for any
// pair among 20 million. The key is drawn at random, so that no input can be built that makes
// lookups slow; what the set answers does not depend on it.
class FingerprintSet {
 public:
  FingerprintSet();

  // False if the string was there already.
  bool insert(std::string_view bytes);

  bool contains(std::string_view bytes) const;

  int64_t size() const { return static_cast<int64_t>(n_used_); }

 private:
  void grow();
  Fingerprint value_of(std::string_view bytes) const;
  size_t slot_of(const Fingerprint& value) const;

  FingerprintKey key_;
  std::vector<Fingerprint> slots_;  // a power of two of them; all zero: free
  size_t n_used_ = 0;
};

}  // namespace prefold
