// Objects that come and go, in places that stay where they are and are used again.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

namespace prefold {

template <typename T>
class Recycled {
 public:
  // A place with a T{} in it.
  int32_t take() {
    if (free_.empty()) {
      items_.emplace_back();
      return static_cast<int32_t>(items_.size()) - 1;
    }
    const int32_t place = free_.back();
    free_.pop_back();
    return place;
  }

  // Destroys what is there.
  void give_back(int32_t place) {
    items_[place] = T{};
    free_.push_back(place);
  }

  T& operator[](int32_t place) { return items_[place]; }
  const T& operator[](int32_t place) const { return items_[place]; }

 private:
  std::deque<T> items_;
  std::vector<int32_t> free_;
};

}  // namespace prefold
