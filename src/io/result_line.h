// Result lines, read back: whose they are. The counterpart of result_writer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace prefold {

// What a result line says first.
struct ResultHead {
  std::string_view written_id;  // as JSON has it, without quotes
  bool failed = false;          // an error line
};

// How an id stands in a result line, without quotes.
std::string written_id(std::string_view id);

// Of a line that result_writer made, or how it begins (kScannedHeadBytes are enough); none of
// anything else.
std::optional<ResultHead> read_result_head(std::string_view line);

// What is whole in a file of result lines. A run that was killed leaves a part of a line at the
// end; a loss of power may leave bytes of zero there, or, before lines that are whole, among what
// had not been synced.
struct ResultScan {
  int64_t n_lines = 0;          // whole ones, up to the first that is not
  int64_t n_bytes = 0;          // of them
  int64_t n_torn_bytes = 0;     // behind them
  int64_t n_torn_lines = 0;     // whole ones among what is behind
  bool lacks_line_end = false;  // the last whole line is the file's last and lacks its end only
};

// Reads the file at `path` (none there: nothing) and calls on_line with the head of each whole line
// that counts. Throws Error naming "<path>:<line>" for a line that is none of ours and that no
// crash can have left: nothing is cut off then.
ResultScan scan_results(const std::string& path,
                        const std::function<void(const ResultHead& head)>& on_line);

}  // namespace prefold
