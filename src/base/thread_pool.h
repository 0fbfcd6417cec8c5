// The one thread pool. Work is cut into items that threads take from a shared counter, so that all
// threads end together; which thread runs an item never changes a result (invariant I6).
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace prefold {

class ThreadPool {
 public:
  // n_threads >= 1 counts the calling thread, which works too. Workers are pinned to distinct
  // processors of the process's affinity mask where it has that many.
  explicit ThreadPool(int32_t n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int32_t n_threads() const { return n_threads_; }

  // Calls fn(item, thread_idx) once for each item in [0, n_items), in any order and on any thread,
  // and returns when all have returned. thread_idx is in [0, n_threads). fn must not throw and must
  // not call parallel_for. Allocates nothing.
  template <typename Fn>
  void parallel_for(int64_t n_items, Fn&& fn) {
    using Plain = std::remove_reference_t<Fn>;
    run(
        n_items,
        [](void* context, int64_t item, int32_t thread_idx) {
          (*static_cast<Plain*>(context))(item, thread_idx);
        },
        const_cast<void*>(static_cast<const void*>(&fn)));
  }

 private:
  using ItemFn = void (*)(void* context, int64_t item, int32_t thread_idx);
  void run(int64_t n_items, ItemFn fn, void* context);

  struct State;
  std::unique_ptr<State> state_;
  int32_t n_threads_;
};

// Threads this process may use: the affinity mask, cut to the cgroup's CPU quota (rounded up).
int32_t usable_thread_count();

}  // namespace prefold
