// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random
// numbers: as easy as 1, 2, 3" (SC 2011): the n-th number of a key needs none of those before it,
// so a draw is the same whatever else runs, and after a resume.
#pragma once

#include <array>
#include <cstdint>

namespace prefold {

inline std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter,
                                             std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;  // the golden ratio
    key[1] += 0xBB67AE85;  // sqrt(3) - 1
  }
  return counter;
}

// Number `position` of the stream `key`: uniform in [0, 1), a multiple of 2^-53.
inline double uniform_at(uint64_t key, uint32_t position) {
  const std::array<uint32_t, 4> r = philox4x32_10(
      {position, 0, 0, 0}, {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)});
  return static_cast<double>((uint64_t{r[1]} << 32 | r[0]) >> 11) * 0x1p-53;
}

}  // namespace prefold
