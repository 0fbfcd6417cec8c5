// The one place where a step's tokens are counted (I2).
#pragma once

#include <algorithm>
#include <cstdint>

namespace prefold {

class TokenBudget {
 public:
  explicit TokenBudget(int32_t n_tokens) : n_left_(n_tokens) {}

  // Grants as many of `wanted` rows as are left.
  int32_t take(int32_t wanted) {
    const int32_t granted = std::min(wanted, n_left_);
    n_left_ -= granted;
    return granted;
  }
  int32_t n_left() const { return n_left_; }
  bool empty() const { return n_left_ == 0; }

 private:
  int32_t n_left_;
};

}  // namespace prefold
