// The one place where a step's tokens are counted (I2).
#pragma once

#include <algorithm>
#include <cstdint>

namespace prefold {

class TokenBudget {
 public:
  // padded: each prefill chunk of the step takes as many rows as the longest of them.
  explicit TokenBudget(int32_t n_tokens, bool padded = false)
      : n_left_(n_tokens), padded_(padded) {}

  // Grants as many of `wanted` decode rows as are left.
  int32_t take(int32_t wanted) {
    const int32_t granted = std::min(wanted, n_left_);
    n_left_ -= granted;
    return granted;
  }

  // Grants as many of `wanted` rows of one prefill chunk as are left; with padding, to all but the
  // step's first chunk either all of them or none.
  int32_t take_chunk(int32_t wanted) {
    if (!padded_) {
      const int32_t granted = take(wanted);
      n_chunks_ += granted > 0;
      return granted;
    }
    const int32_t granted = n_chunks_ == 0 ? std::min(wanted, n_left_) : wanted;
    if (granted == 0 || !fits_chunk(granted)) return 0;
    n_left_ -= rows_more(granted);
    longest_ = std::max(longest_, granted);
    ++n_chunks_;
    return granted;
  }

  // Whether a chunk of so many rows can be taken whole.
  bool fits_chunk(int32_t n_rows) const { return rows_more(n_rows) <= n_left_; }

  int32_t n_left() const { return n_left_; }
  int32_t n_chunks() const { return n_chunks_; }
  bool empty() const { return n_left_ == 0; }

 private:
  int64_t rows_more(int32_t n_rows) const {
    if (!padded_) return n_rows;
    return int64_t{n_chunks_ + 1} * std::max(longest_, n_rows) - int64_t{n_chunks_} * longest_;
  }

  int32_t n_left_;
  bool padded_;
  int32_t n_chunks_ = 0;
  int32_t longest_ = 0;  // chunk, of a padded step
};

}  // namespace prefold
