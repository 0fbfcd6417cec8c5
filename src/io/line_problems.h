// What is wrong with one line: the first problem becomes its error line, `prefold check` shows all.
#pragma once

#include <utility>
#include <vector>

#include "base/error.h"
#include "plan/result.h"

namespace prefold {

class LineProblems {
 public:
  // A line of a hostile file has no more of them than this; what comes later is not looked at.
  static constexpr size_t kMost = 16;

  // Calls fn and takes the RequestError that it throws, if any.
  template <typename Fn>
  void attempt(Fn&& fn) {
    if (full()) return;
    try {
      fn();
    } catch (const RequestError& error) {
      found_.push_back({error.code(), error.what()});
    }
  }

  bool none() const { return found_.empty(); }
  bool full() const { return found_.size() >= kMost; }
  std::vector<RequestFailure> take() { return std::exchange(found_, {}); }

 private:
  std::vector<RequestFailure> found_;  // messages without their place
};

}  // namespace prefold
