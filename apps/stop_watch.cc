#include "stop_watch.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <limits>

#include "base/error.h"

namespace prefold {
namespace {

// How long a run that was told to abandon its work may take to say so, before it is ended.
constexpr double kForceAfterS = 5.0;
// How long answers may take to be written then.
constexpr double kWriteWithinS = 20.0;
constexpr double kNever = std::numeric_limits<double>::infinity();

bool is_ignored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int timeout_ms(double until_s) {
  if (until_s == kNever) return -1;
  constexpr double kLongestMs = 60'000;  // then it looks again
  return static_cast<int>(std::clamp((until_s - now_s()) * 1000 + 1, 0.0, kLongestMs));
}

}  // namespace

StopWatch::StopWatch(StopControl& stop, const StopTimes& times, std::function<void()> force_exit)
    : stop_(stop), times_(times), force_exit_(std::move(force_exit)) {
  sigemptyset(&signals_);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (!is_ignored(signal)) sigaddset(&signals_, signal);
  }
  wake_fd_ = eventfd(0, EFD_CLOEXEC);
  signal_fd_ = signalfd(-1, &signals_, SFD_CLOEXEC);
  if (wake_fd_ < 0 || signal_fd_ < 0) {
    throw Error(fmt::format("cannot watch for signals: {}", std::strerror(errno)));
  }
  pthread_sigmask(SIG_BLOCK, &signals_, &mask_before_);
  thread_ = std::thread([this] { watch(); });
}

StopWatch::~StopWatch() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(wake_fd_, &one, sizeof(one));
  thread_.join();
  close(wake_fd_);
  close(signal_fd_);
  pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
}

void StopWatch::watch() {
  double stop_at_s = times_.time_limit_s ? now_s() + *times_.time_limit_s : kNever;
  double abandon_at_s = kNever, force_at_s = kNever, give_up_at_s = kNever;
  int n_signals = 0;
  while (true) {
    pollfd events[] = {{wake_fd_, POLLIN, 0}, {signal_fd_, POLLIN, 0}};
    double next_s = std::min({stop_at_s, abandon_at_s, force_at_s});
    if (give_up_at_s != kNever) next_s = now_s() + 0.01;  // answers are being written
    poll(events, 2, timeout_ms(next_s));
    if (events[0].revents != 0) break;
    if ((events[1].revents & POLLIN) != 0) {
      signalfd_siginfo info{};
      if (read(signal_fd_, &info, sizeof(info)) == sizeof(info)) {
        ++n_signals;
        stop_.stop(StopReason::kSignal, static_cast<int>(info.ssi_signo));
      }
    }
    const double now = now_s();
    if (now >= stop_at_s) stop_.stop(StopReason::kTimeLimit);
    if (stop_.stopping() && abandon_at_s == kNever && !stop_.abandoned()) {
      stop_at_s = kNever;
      abandon_at_s = now + times_.grace_s;
    }
    if ((now >= abandon_at_s || n_signals >= 2) && !stop_.abandoned()) {
      stop_.abandon();
      abandon_at_s = kNever;
      force_at_s = now + kForceAfterS;
    }
    if ((now >= force_at_s || n_signals >= 3) && give_up_at_s == kNever) {
      force_at_s = kNever;
      give_up_at_s = now + kWriteWithinS;
    }
    if (give_up_at_s != kNever && (stop_.all_written() || now >= give_up_at_s)) force_exit_();
  }
}

}  // namespace prefold
