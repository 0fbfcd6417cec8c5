// The command line: what was typed, parsed and range-checked, nothing resolved.
#pragma once

#include <functional>

namespace prefold {

// Does what was typed and returns the exit status; throws Error.
using Action = std::function<int()>;

// The command that was typed with its options. Where there is nothing to run (help, version, a
// mistake), prints that and gives an action that only returns the exit status.
Action parse_args(int argc, char** argv);

}  // namespace prefold
