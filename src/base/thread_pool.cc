#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/cpu_set.h"
#include "base/error.h"

namespace prefold {
namespace {

// A forward pass calls parallel_for some hundred times with microseconds between; waking a parked
// thread costs about this much, so it is also how long a waiter spins before it parks.
constexpr std::chrono::microseconds kSpinTime{50};
constexpr int kPausesPerClockRead = 16;

inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until done() or kSpinTime has passed; tells which.
template <typename Done>
bool spin_until(Done&& done) {
  const auto deadline = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < kPausesPerClockRead; ++i) {
      if (done()) return true;
      pause_cpu();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

// The gate word: | generation of the job, 32 bits | open, 1 bit | workers inside, 31 bits |.
constexpr uint64_t kOpen = uint64_t{1} << 31;
constexpr uint64_t kInside = kOpen - 1;
uint32_t generation_of(uint64_t gate) { return static_cast<uint32_t>(gate >> 32); }

}  // namespace

// A job is published by opening the gate. Workers that see it open enter, take items, and leave;
// the caller closes the gate when the items have run out and waits only for those inside. So a
// worker that the system has not scheduled delays nobody.
//
// Both sides of a park announce themselves before they look at the gate (n_parked, caller_parked),
// and whoever changes the gate looks at the announcement afterwards, all sequentially consistent,
// so that no wake-up is lost.
struct ThreadPool::State {
  alignas(64) std::atomic<uint64_t> gate{0};
  alignas(64) std::atomic<int64_t> next_item{0};

  // The job: written while the gate is closed and nobody is inside, read by those inside.
  alignas(64) ItemFn fn = nullptr;
  void* context = nullptr;
  int64_t n_items = 0;

  std::atomic<bool> stop{false};
  std::atomic<int32_t> n_parked{0};
  std::atomic<bool> caller_parked{false};
  std::mutex mutex;
  std::condition_variable opened, emptied;
  std::vector<std::thread> workers;

  void take_items(int32_t thread_idx) {
    for (;;) {
      const int64_t item = next_item.fetch_add(1, std::memory_order_relaxed);
      if (item >= n_items) return;
      fn(context, item, thread_idx);
    }
  }

  bool has_news(uint32_t seen_generation) const {
    return generation_of(gate.load()) != seen_generation || stop.load();
  }

  void wait_for_news(uint32_t seen_generation) {
    if (spin_until([&] { return has_news(seen_generation); })) return;
    std::unique_lock lock(mutex);
    n_parked.fetch_add(1);
    opened.wait(lock, [&] { return has_news(seen_generation); });
    n_parked.fetch_sub(1);
  }

  // Enters if the gate is open; the generation seen either way.
  bool enter(uint32_t& seen_generation) {
    uint64_t seen = gate.load();
    while ((seen & kOpen) != 0) {
      if (gate.compare_exchange_weak(seen, seen + 1)) break;
    }
    seen_generation = generation_of(seen);
    return (seen & kOpen) != 0;
  }

  void leave() {
    const uint64_t left = gate.fetch_sub(1) - 1;
    if ((left & (kOpen | kInside)) != 0 || !caller_parked.load()) return;
    const std::lock_guard lock(mutex);
    emptied.notify_one();
  }

  void work(int32_t thread_idx) {
    uint32_t seen_generation = 0;
    while (!stop.load()) {
      wait_for_news(seen_generation);
      if (!enter(seen_generation)) continue;
      take_items(thread_idx);
      leave();
    }
  }

  void open_gate() {
    const uint64_t next = static_cast<uint64_t>(generation_of(gate.load()) + 1u);
    gate.store(next << 32 | kOpen);
    if (n_parked.load() == 0) return;
    { const std::lock_guard lock(mutex); }  // a worker between its look and its wait holds it
    opened.notify_all();
  }

  void close_gate_and_wait() {
    gate.fetch_and(~kOpen);
    const auto is_empty = [&] { return (gate.load() & kInside) == 0; };
    if (spin_until(is_empty)) return;
    std::unique_lock lock(mutex);
    caller_parked.store(true);
    emptied.wait(lock, is_empty);
    caller_parked.store(false);
  }

  // Workers go to processors of their own so that the scheduler does not stack two of them. The
  // calling thread is left alone: its mask is inherited by threads and processes it starts later,
  // and is not ours to change. The processor it runs on now is given to no worker.
  void pin_workers() {
    std::vector<int32_t> cpus = allowed_cpus();
    if (cpus.size() <= workers.size()) return;
    if (std::erase(cpus, sched_getcpu()) == 0) cpus.erase(cpus.begin());
    for (size_t i = 0; i < workers.size(); ++i) {
      if (cpus[i] >= CPU_SETSIZE) continue;
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(cpus[i], &set);
      // May be forbidden; then the scheduler places the thread.
      (void)pthread_setaffinity_np(workers[i].native_handle(), sizeof(set), &set);
    }
  }

  void join_workers() {
    stop.store(true);
    { const std::lock_guard lock(mutex); }
    opened.notify_all();
    for (std::thread& worker : workers) worker.join();
  }
};

ThreadPool::ThreadPool(int32_t n_threads)
    : state_(std::make_unique<State>()), n_threads_(n_threads) {
  CHECK(n_threads >= 1);
  state_->workers.reserve(static_cast<size_t>(n_threads - 1));
  try {
    for (int32_t i = 1; i < n_threads; ++i) {
      state_->workers.emplace_back([state = state_.get(), i] { state->work(i); });
    }
  } catch (const std::system_error& error) {
    state_->join_workers();
    throw Error(fmt::format("cannot start {} threads: {}", n_threads, error.what()));
  }
  state_->pin_workers();
}

ThreadPool::~ThreadPool() { state_->join_workers(); }

void ThreadPool::run(int64_t n_items, ItemFn fn, void* context) {
  if (n_threads_ == 1 || n_items <= 1) {  // nothing to share
    for (int64_t item = 0; item < n_items; ++item) fn(context, item, 0);
    return;
  }
  State& state = *state_;
  state.fn = fn;
  state.context = context;
  state.n_items = n_items;
  state.next_item.store(0, std::memory_order_relaxed);
  state.open_gate();
  state.take_items(0);
  state.close_gate_and_wait();
}

}  // namespace prefold
