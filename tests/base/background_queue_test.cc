#include "base/background_queue.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>

using namespace prefold;

TEST_CASE("every item is taken once, in order, and finish waits for the last") {
  std::vector<int> taken;
  BackgroundQueue<int> queue(3, [&](std::span<int> items) {
    CHECK(!items.empty());
    taken.insert(taken.end(), items.begin(), items.end());
  });
  std::vector<int> pushed(5000);
  std::iota(pushed.begin(), pushed.end(), 0);
  for (const int i : pushed) queue.push(i);
  queue.finish();
  CHECK(taken == pushed);
}

TEST_CASE("a queue that was given nothing ends") {
  BackgroundQueue<int> queue(1, [](std::span<int>) { FAIL("nothing to take"); });
  queue.finish();
}

TEST_CASE("a full queue makes its owner wait") {
  std::atomic<bool> may_go_on{false};
  std::atomic<int> n_taken{0}, n_pushed{0};
  size_t most = 0;
  BackgroundQueue<int> queue(4, [&](std::span<int> items) {
    while (!may_go_on) std::this_thread::yield();
    most = std::max(most, items.size());
    n_taken += static_cast<int>(items.size());
  });
  std::thread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK(n_pushed <= 4 + 4);  // those in hand and those that wait
    may_go_on = true;
  });
  for (int i = 0; i < 100; ++i) {
    queue.push(i);
    ++n_pushed;
  }
  opener.join();
  queue.finish();
  CHECK(n_taken == 100);
  CHECK(most <= 4);
}

TEST_CASE("what the taker throws reaches the owner, at a push or at the end") {
  const auto fail = [](std::span<int>) { throw std::runtime_error("disk full"); };
  BackgroundQueue<int> at_push(1, fail);
  const auto push_on = [&] {
    for (int i = 0; i < 1000; ++i) at_push.push(i);
  };
  CHECK_THROWS_WITH(push_on(), "disk full");
  CHECK_THROWS_WITH(at_push.finish(), "disk full");
  BackgroundQueue<int> at_end(1, fail);
  at_end.push(1);
  CHECK_THROWS_WITH(at_end.finish(), "disk full");
}

TEST_CASE("an owner that gives up early loses nothing that it pushed") {
  int n_taken = 0;
  const auto give_up = [&] {
    BackgroundQueue<std::unique_ptr<int>> queue(100, [&](std::span<std::unique_ptr<int>> items) {
      for (const auto& item : items) n_taken += *item;
    });
    for (int i = 0; i < 10; ++i) queue.push(std::make_unique<int>(1));
    throw std::runtime_error("the model is gone");
  };
  CHECK_THROWS_WITH(give_up(), "the model is gone");
  CHECK(n_taken == 10);
}
