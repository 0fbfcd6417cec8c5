// Which files the paths and patterns of a command line name.
#pragma once

#include <string>
#include <vector>

namespace prefold {

// Each path stands for itself, "-" for standard input. One with any of * ? [ that names no file is
// a pattern (POSIX, glob(7): * and ? do not match a slash or a leading dot) and stands for the
// files that it matches, in order of their bytes. Throws Error for a pattern that matches nothing,
// for a folder that cannot be read meanwhile, and for a file that is named twice.
std::vector<std::string> expand_input_paths(const std::vector<std::string>& given);

}  // namespace prefold
