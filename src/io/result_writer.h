// Results to lines of JSON: OpenAI Batch output for OpenAI lines, the short form for short ones.
// docs/formats.md is the specification. A line depends on the request, its result and the options
// below, not on when or beside what the request ran.
#pragma once

#include <cstdint>
#include <string>

#include "io/request_reader.h"
#include "plan/request.h"
#include "plan/result.h"

namespace prefold {

struct ResultFormat {
  int64_t created_unix_s = 0;  // "created" of OpenAI results: the job's start, kept over resumes
  std::string model_name;      // where the line names no model
  bool usage_details = false;  // write usage.prompt_tokens_details.cached_tokens
};

// One line, without its line end. A failed result becomes an error line. Of `result`, the lists
// of alternatives may be longer than the request asked for: only the first ones are written.
std::string format_result(const Request& request, const Result& result, const ResultFormat& format);

std::string format_error(const LineError& error);

}  // namespace prefold
