// Input lines (JSONL, two kinds mixed freely) to requests. docs/formats.md is the specification.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "io/fingerprint.h"
#include "io/line_source.h"
#include "plan/request.h"
#include "plan/result.h"

namespace prefold {

// A line that is no request; the writer makes the error line of it.
struct LineError {
  SourceLine source;
  std::string id;  // as Request::id; "<file>:<line>" if none could be read or it was used before
  bool id_is_integer = false;
  LineKind kind = LineKind::kShort;  // decides the shape of the error line
  RequestFailure failure;            // its message starts with "<file>:<line>: ", as of those below
  std::vector<RequestFailure> further;  // what else is wrong with the line
  nlohmann::ordered_json metadata;      // of the line, as far as it could be read
};

// The line of a request that cannot be answered: what it holds, and why.
LineError line_error(Request&& request, const RequestError& error);

using RequestOrError = std::variant<Request, LineError>;

// Reads one line, without regard to other lines. Never throws for what the line holds.
RequestOrError read_request(const InputLine& line, const SamplingParams& defaults);

class RequestReader {
 public:
  // defaults: what holds where a line says nothing (command line over generation_config). Throws
  // Error as LineSource does.
  RequestReader(std::vector<std::string> paths, SamplingParams defaults,
                size_t max_line_bytes = LineSource::kDefaultMaxLineBytes);

  // The next line's request or error, in input order; none at the end. An id that an earlier line
  // had makes the later line an error. Throws Error when reading fails.
  std::optional<RequestOrError> next();

  // The same in three parts, so that many lines can be read at once: the line's text, valid until
  // the next call, false at the end; what it says, on any thread; and, line by line in input order,
  // whether its id is new.
  bool next_line(InputLine& line) { return lines_.next(line); }
  RequestOrError read(const InputLine& line) const { return read_request(line, defaults_); }
  void check_id(const SourceLine& source, RequestOrError& read);

  // Of the files, in order; whole once no line is left.
  std::vector<FileDigest> digests() const { return lines_.digests(); }

 private:
  LineSource lines_;
  SamplingParams defaults_;
  FingerprintSet ids_;
};

}  // namespace prefold
