// One thread that takes items off a bounded queue, in order, while its owner goes on.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace prefold {

// Calls come from one thread, the owner; take runs on the queue's own.
template <typename Item>
class BackgroundQueue {
 public:
  // take gets all items that wait, oldest first, at least one, and may move from them. When it
  // throws, items still waiting and pushed later are dropped, and the owner's next push, or finish,
  // throws the same. At most max_waiting items (from 1) wait, besides those that take has in hand.
  using TakeFn = std::function<void(std::span<Item> items)>;
  BackgroundQueue(size_t max_waiting, TakeFn take)
      : max_waiting_(max_waiting), take_(std::move(take)), thread_([this] { work(); }) {}

  // Whatever was pushed is taken before this returns, also when the owner is unwinding; what take
  // throws then is lost: call finish first.
  ~BackgroundQueue() { stop(); }
  BackgroundQueue(const BackgroundQueue&) = delete;
  BackgroundQueue& operator=(const BackgroundQueue&) = delete;

  // Waits while the queue is full.
  void push(Item item) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_.size() < max_waiting_ || error_ != nullptr; });
    if (error_ != nullptr) std::rethrow_exception(error_);
    waiting_.push_back(std::move(item));
    if (waiting_.size() == 1) changed_.notify_all();
  }

  // Returns when everything has been taken. No push may follow.
  void finish() {
    stop();
    if (error_ != nullptr) std::rethrow_exception(error_);
  }

 private:
  void work() {
    std::vector<Item> items;
    while (true) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !waiting_.empty() || stopping_; });
        if (waiting_.empty()) return;
        items.swap(waiting_);
        changed_.notify_all();
      }
      try {
        take_(items);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        error_ = std::current_exception();
        changed_.notify_all();
        return;
      }
      items.clear();
    }
  }

  void stop() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    thread_.join();
  }

  const size_t max_waiting_;
  const TakeFn take_;
  std::mutex mutex_;
  std::condition_variable changed_;  // waiting_, stopping_ or error_
  std::vector<Item> waiting_;
  bool stopping_ = false;
  std::exception_ptr error_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace prefold
