// Random choices that are the same on every machine: the standard fixes the generator's numbers,
// but not what its distributions and std::shuffle make of them.
#pragma once

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace prefold {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  // From 0 to n - 1; n far below 2^64, so that the remainder's bias does not matter.
  size_t below(size_t n) { return static_cast<size_t>(engine_() % n); }

  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }  // in [0, 1)

  template <typename T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

  // n different numbers below `end`, in random order.
  std::vector<size_t> sample(size_t end, size_t n) {
    std::vector<size_t> items(end);
    for (size_t i = 0; i < end; ++i) items[i] = i;
    shuffle(items);
    items.resize(n);
    return items;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace prefold
