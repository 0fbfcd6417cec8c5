// The prefold program: parses the command line, runs a command, turns errors into an exit status.
// Results go to standard output, talk to standard error.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <new>

#include "args.h"
#include "base/error.h"
#include "commands.h"

namespace {

constexpr int kCannotRun = 2;

int dispatch(const prefold::Args& args) {
  switch (args.command) {
    case prefold::Command::kRun:
      return prefold::run_command(args.run);
    case prefold::Command::kPlan:
      return prefold::plan_command(args.run);
    case prefold::Command::kBench:
      return prefold::bench_command(args.bench);
    case prefold::Command::kInspect:
      return prefold::inspect_command(args.model);
    case prefold::Command::kTokenize:
      return prefold::tokenize_command(args.model, args.decode);
    case prefold::Command::kRender:
      return prefold::render_command(args.model, args.template_file);
  }
  return kCannotRun;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of write, with a message
  try {
    prefold::Args args;
    if (const std::optional<int> status = prefold::parse_args(argc, argv, args)) return *status;
    return dispatch(args);
  } catch (const prefold::Error& error) {
    fmt::print(stderr, "prefold: error: {}\n", error.what());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "prefold: error: out of memory\n");
  }
  return kCannotRun;
}
