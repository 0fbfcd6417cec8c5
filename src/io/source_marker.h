// A line that says where the lines after it come from, as #line does in C: files that hold parts of
// others (run/split_job.h) have them, so that a line keeps its name, "<file>:<line>".
//   {"prefold_source":{"file":"prompts.jsonl","line":17}}
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "plan/request.h"

namespace prefold {

struct SourceMarker {
  SourceLine source;  // of the next line; those after it are numbered on from there
  // Of the next line only: it was too long, and is only how it began.
  bool too_long = false;
};

// Without a line end. source.file is UTF-8.
std::string format_source_marker(const SourceMarker& marker);

// None if the line is no marker, or not as format_source_marker writes it.
std::optional<SourceMarker> read_source_marker(std::string_view line);

}  // namespace prefold
