// The lines of a file that may be damaged, in bounded memory however long they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace prefold {

struct ScannedLine {
  std::string_view head;       // how it begins, at most kScannedHeadBytes; valid during the call
  int64_t offset = 0;          // in the file
  int64_t n_bytes = 0;         // without its end
  char last_byte = '\0';       // of a line that is not empty
  bool has_zero_byte = false;  // as a file system may leave them after a loss of power
  bool has_end = false;        // false: the file ends before the line does
};

inline constexpr size_t kScannedHeadBytes = 64 * 1024;

// Calls on_line for each line of the file at `path`, blank ones too. A file that is not there has
// none. Throws Error if it cannot be read.
void scan_lines(const std::string& path, const std::function<void(const ScannedLine&)>& on_line);

}  // namespace prefold
