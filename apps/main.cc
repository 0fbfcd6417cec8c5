// The prefold program: parses the command line, runs a command, turns errors into an exit status.
// Results go to standard output, talk to standard error.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <new>

#include "args.h"
#include "base/error.h"

namespace {

constexpr int kCannotRun = 2;

}  // namespace

int main(int argc, char** argv) {
  // A closed pipe and a limit on a file's size are errors of write, with a message.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return prefold::parse_args(argc, argv)();
  } catch (const prefold::Error& error) {
    fmt::print(stderr, "prefold: error: {}\n", error.what());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "prefold: error: out of memory\n");
  }
  return kCannotRun;
}
