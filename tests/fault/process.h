// The program as others see it: started, signalled, killed, waited for.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace prefold {

inline std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// How a process ended: its exit status, or minus the signal that killed it.
class Process {
 public:
  // in_child: in the new process, before the program; its standard error goes to `stderr_path`.
  Process(
      const std::vector<std::string>& arguments, const std::string& stderr_path,
      const std::function<void()>& in_child = [] {}) {
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ > 0) return;
    const int fd = open(stderr_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    dup2(fd, STDERR_FILENO);
    in_child();
    std::vector<char*> words;
    for (const std::string& argument : arguments)
      words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    execv(words[0], words.data());
    _exit(127);
  }
  ~Process() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void send(int signal) const { kill(pid_, signal); }

  int wait() {
    int status = 0;
    REQUIRE(waitpid(pid_, &status, 0) == pid_);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  bool has_ended() const {
    siginfo_t info{};
    REQUIRE(waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0);
    return info.si_pid != 0;
  }

  // Until `condition` holds; false if the process ends before.
  bool wait_until(const std::function<bool()>& condition) const {
    while (!condition()) {
      if (has_ended()) return condition();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }

 private:
  pid_t pid_ = -1;
};

// The program under test, from the environment (tests/CMakeLists.txt).
inline std::string prefold_binary() {
  const char* path = std::getenv("PREFOLD_BINARY");
  REQUIRE(path != nullptr);
  return path;
}

}  // namespace prefold
