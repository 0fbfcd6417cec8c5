// How long answers will be (S^3, arXiv 2306.06000): predicted from those of this run that have
// finished, so that KV memory is set aside for the likely end and not for max_tokens.
#pragma once

#include <cstdint>
#include <vector>

namespace prefold {

class LengthPredictor {
 public:
  // Called once for each finished sequence that was free to stop by itself.
  void observe(int32_t n_tokens);

  // Tokens that a sequence will have sampled at its end, in [n_sampled + 1, max_tokens] (max_tokens
  // itself if n_sampled has reached it): the 90th percentile of the finished lengths above
  // n_sampled; while there are fewer than 8 of those, twice n_sampled and at least 128.
  int32_t predict(int32_t n_sampled, int32_t max_tokens) const;

 private:
  std::vector<int64_t> count_of_length_;  // index: tokens, the last holds all longer ones
};

}  // namespace prefold
