// A vector whose elements start on a cache line, as the kernels want their buffers.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace prefold {

inline constexpr size_t kCacheLineBytes = 64;

template <typename T>
struct CacheLineAllocator {
  using value_type = T;
  CacheLineAllocator() = default;
  template <typename U>
  CacheLineAllocator(const CacheLineAllocator<U>&) {}
  T* allocate(size_t n) {
    return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(kCacheLineBytes)));
  }
  void deallocate(T* p, size_t) { ::operator delete(p, std::align_val_t(kCacheLineBytes)); }
  bool operator==(const CacheLineAllocator&) const { return true; }
};

template <typename T>
using AlignedVector = std::vector<T, CacheLineAllocator<T>>;

// An array on a cache line whose elements nobody has written: the system provides its pages as they
// are first used.
struct CacheLineDelete {
  template <typename T>
  void operator()(T* p) const {
    ::operator delete(p, std::align_val_t(kCacheLineBytes));
  }
};
template <typename T>
using UnwrittenArray = std::unique_ptr<T[], CacheLineDelete>;

template <typename T>
UnwrittenArray<T> make_unwritten_array(size_t n) {
  return UnwrittenArray<T>(CacheLineAllocator<T>().allocate(n));
}

}  // namespace prefold
