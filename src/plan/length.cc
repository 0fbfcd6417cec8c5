#include "plan/length.h"

#include <algorithm>

namespace prefold {
namespace {

constexpr int32_t kLongestCounted = 1 << 16;
constexpr int64_t kEnoughObservations = 8;
constexpr int32_t kFirstGuess = 128;

}  // namespace

void LengthPredictor::observe(int32_t n_tokens) {
  const size_t length = static_cast<size_t>(std::clamp(n_tokens, 0, kLongestCounted));
  if (count_of_length_.size() <= length) count_of_length_.resize(length + 1);
  ++count_of_length_[length];
}

int32_t LengthPredictor::predict(int32_t n_sampled, int32_t max_tokens) const {
  if (n_sampled >= max_tokens) return max_tokens;
  const auto first = std::min<size_t>(n_sampled + 1, count_of_length_.size());
  int64_t longer = 0;
  for (size_t length = first; length < count_of_length_.size(); ++length) {
    longer += count_of_length_[length];
  }
  if (longer < kEnoughObservations) {
    const int64_t guess = std::max<int64_t>(kFirstGuess, 2 * int64_t{n_sampled} + 1);
    return static_cast<int32_t>(std::min<int64_t>(guess, max_tokens));
  }
  int64_t below = 0;
  size_t length = first;
  while (true) {
    below += count_of_length_[length];
    if (10 * below >= 9 * longer) break;
    ++length;
  }
  return std::min(static_cast<int32_t>(length), max_tokens);
}

}  // namespace prefold
