// --config: options of `prefold run` from a file, so that the line of a crontab is short.
#pragma once

#include <CLI/CLI.hpp>

namespace prefold {

// Adds --config FILE to a command. The file is TOML (io/toml_file.h): a key is the long name of an
// option of `prefold run` without its dashes, an option that may be repeated takes an array, one
// without a value takes true or false. What stands on the command line is taken instead of what the
// file says. A path is relative to the folder of the file; "-" is standard input or output.
//
// Any command may read the file of a run: it takes what it has an option for. What `prefold run`
// has none for, and a wrong value, is an Error that names file, line and key.
void add_job_file(CLI::App& app);

}  // namespace prefold
