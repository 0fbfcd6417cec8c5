// A compiled PCRE2 pattern over UTF-8 with Unicode properties. Thread safe; what a search needs is
// kept per thread. Just-in-time compiled where the machine allows it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace prefold {

class Regex {
 public:
  // Throws FormatError with PCRE2's words if the pattern cannot be compiled.
  explicit Regex(const std::string& pattern);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  struct Match {
    size_t begin;
    size_t end;
  };

  // The first match at or after offset; false if there is none. text must be valid UTF-8 and offset
  // at a character. Lookaheads see the end of text, not what lies beyond it.
  // Throws RequestError("tokenizer_limit") where the pattern takes far more steps than the text has
  // bytes: patterns come from files that nobody vetted.
  bool find(std::string_view text, size_t offset, Match& match) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace prefold
