// The prefold program: parses the command line, runs a command, turns errors into an exit status.
// Results go to standard output, talk to standard error.
#include <fmt/format.h>
#include <malloc.h>

#include <csignal>
#include <cstdio>
#include <new>

#include "args.h"
#include "base/error.h"

namespace {

constexpr int kCannotRun = 2;

// What a job keeps by line lies in blocks larger than this from 100,000 lines on. Such blocks go
// back to the system as soon as they are freed; by itself glibc's malloc would raise the limit to
// 32 MiB.
constexpr int kLargeBlockBytes = 1 << 20;

}  // namespace

int main(int argc, char** argv) {
  // A closed pipe and a limit on a file's size are errors of write, with a message.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  mallopt(M_MMAP_THRESHOLD, kLargeBlockBytes);
  try {
    return prefold::parse_args(argc, argv)();
  } catch (const prefold::Error& error) {
    fmt::print(stderr, "prefold: error: {}\n", error.what());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "prefold: error: out of memory\n");
  }
  return kCannotRun;
}
