// Bad input ends as an exception whose what() is one sentence for the user: it names the file (and
// line or offset), the value found and what was wanted. The library never prints and never exits.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace prefold {

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

// A file that is not what its format says: GGUF, JSON, a chat template.
class FormatError : public Error {
 public:
  using Error::Error;
};

// A request that cannot be answered; becomes that request's error line and stops nothing else.
// `code` is a stable word for scripts, e.g. "prompt_too_long" (docs/formats.md lists them).
class RequestError : public Error {
 public:
  RequestError(std::string code, const std::string& message)
      : Error(message), code_(std::move(code)) {}
  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

}  // namespace prefold
