// Memory that is allocated once, before the first step, and handed out piece by piece (I3): nothing
// is given back before the arena ends, and the pieces end with it. Move only.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace prefold::cuda {

inline constexpr size_t kArenaAlignment = 256;  // bytes, of every piece

// What a piece of n_bytes takes of an arena: an arena of the sum over its pieces is large enough.
constexpr size_t arena_bytes(size_t n_bytes) {
  return (n_bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

class Arena {
 public:
  // n elements that nothing has written. The arena must have room for them: its owner added up
  // the same sizes.
  template <class T>
  T* take(size_t n) {
    return static_cast<T*>(take_elements(n, sizeof(T)));
  }
  size_t used() const { return used_; }  // bytes handed out, gaps included
  size_t capacity() const { return capacity_; }

 protected:
  using Memory = std::unique_ptr<void, void (*)(void*)>;
  Arena(Memory memory, size_t n_bytes) : memory_(std::move(memory)), capacity_(n_bytes) {}
  Arena(Arena&&) = default;
  Arena& operator=(Arena&&) = default;
  ~Arena() = default;

 private:
  void* take_elements(size_t n, size_t element_bytes);

  Memory memory_;
  size_t capacity_ = 0;
  size_t used_ = 0;
};

// Memory of the current device. Error with the numbers if there is not enough.
class DeviceArena : public Arena {
 public:
  explicit DeviceArena(size_t n_bytes);
};

// Page-locked memory of the host, from and to which copies run beside kernels. Error if the system
// refuses it.
class PinnedArena : public Arena {
 public:
  explicit PinnedArena(size_t n_bytes);
};

}  // namespace prefold::cuda
