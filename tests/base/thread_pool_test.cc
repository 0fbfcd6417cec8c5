#include "base/thread_pool.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

namespace prefold {
namespace {

TEST_CASE("every item runs exactly once, for 1 to 8 threads and many sizes") {
  for (int32_t n_threads = 1; n_threads <= 8; ++n_threads) {
    ThreadPool pool(n_threads);
    CHECK(pool.n_threads() == n_threads);
    for (const int64_t n_items : {0, 1, 2, 3, 7, 8, 9, 100, 1000}) {
      std::vector<int32_t> n_runs(static_cast<size_t>(n_items), 0);
      std::atomic<bool> idx_in_range{true};
      pool.parallel_for(n_items, [&](int64_t item, int32_t thread_idx) {
        if (thread_idx < 0 || thread_idx >= n_threads) idx_in_range = false;
        ++n_runs[static_cast<size_t>(item)];
      });
      CHECK(idx_in_range);
      CHECK(std::accumulate(n_runs.begin(), n_runs.end(), int64_t{0}) == n_items);
      for (const int32_t n : n_runs) REQUIRE(n == 1);
    }
  }
}

TEST_CASE("what items wrote is seen by the caller and by the next call, over many tiny calls") {
  ThreadPool pool(4);
  std::vector<int64_t> values(16, 0);
  const int64_t n_calls = 5000;
  for (int64_t call = 0; call < n_calls; ++call) {
    // Item i reads what another item wrote in the call before: only the call itself orders them.
    std::vector<int64_t> before = values;
    pool.parallel_for(16, [&](int64_t item, int32_t) {
      values[static_cast<size_t>(item)] = before[static_cast<size_t>((item + 5) % 16)] + 1;
    });
  }
  for (const int64_t v : values) CHECK(v == n_calls);
}

TEST_CASE("each thread keeps its own sum without locks") {
  ThreadPool pool(3);
  std::vector<int64_t> sums(3 * 16, 0);  // a cache line each
  pool.parallel_for(10000, [&](int64_t item, int32_t thread_idx) {
    sums[static_cast<size_t>(thread_idx) * 16] += item;
  });
  CHECK(sums[0] + sums[16] + sums[32] == 10000 * 9999 / 2);
}

TEST_CASE("a pool works again after its threads have gone to sleep") {
  ThreadPool pool(4);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int64_t> sum{0};
    pool.parallel_for(64, [&](int64_t item, int32_t) { sum += item; });
    CHECK(sum == 64 * 63 / 2);
  }
}

TEST_CASE("the caller waits for a long last item") {
  ThreadPool pool(2);
  for (int round = 0; round < 10; ++round) {
    std::atomic<int> n_done{0};
    pool.parallel_for(2, [&](int64_t, int32_t) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ++n_done;
    });
    CHECK(n_done == 2);
  }
}

TEST_CASE("an idle pool burns no processor time") {
  ThreadPool pool(4);
  pool.parallel_for(100, [](int64_t, int32_t) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // time to park
  const std::clock_t before = std::clock();                    // of all threads
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const double used_s = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  CHECK(used_s < 0.05);
}

TEST_CASE("pools can be made and destroyed at once, used or not") {
  for (int i = 0; i < 50; ++i) {
    ThreadPool pool(1 + i % 8);
    if (i % 2 == 0) pool.parallel_for(3, [](int64_t, int32_t) {});
  }
}

TEST_CASE("two pools serve two callers at the same time") {
  std::atomic<int64_t> total{0};
  const auto use_a_pool = [&] {
    ThreadPool pool(3);
    for (int call = 0; call < 200; ++call) {
      pool.parallel_for(10, [&](int64_t, int32_t) { ++total; });
    }
  };
  std::thread other(use_a_pool);
  use_a_pool();
  other.join();
  CHECK(total == 2 * 200 * 10);
}

}  // namespace
}  // namespace prefold
