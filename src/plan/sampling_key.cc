#include "plan/sampling_key.h"

namespace prefold {
namespace {

// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): every bit of the input moves
// every bit of the result.
uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// FNV-1a, 64 bits.
uint64_t hash_bytes(std::string_view bytes) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const char byte : bytes) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3;
  }
  return hash;
}

}  // namespace

uint64_t request_key(std::optional<uint64_t> seed, uint64_t run_seed, std::string_view request_id) {
  return seed ? mix(*seed) : mix(mix(run_seed) + hash_bytes(request_id));
}

uint64_t sampling_key(uint64_t request_key, int32_t choice_idx) {
  return mix(request_key + static_cast<uint64_t>(choice_idx));
}

}  // namespace prefold
