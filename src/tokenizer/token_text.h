// What tokens look like in running text: a tokenizer's decoder, a token at a time.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/pattern_finder.h"
#include "tokenizer/text_steps.h"

namespace prefold {

class TokenText {
 public:
  // Throws FormatError for patterns that are not valid.
  explicit TokenText(const DecoderSpec& spec);

  const DecoderSpec& spec() const { return spec_; }

  // The text of a token that is no byte token. Under Join::kBytes it may be broken UTF-8.
  std::string text_of(std::string_view token, bool is_first) const;
  // The text of the bytes of a run of byte tokens: U+FFFD for each if they are not UTF-8.
  std::string text_of_bytes(std::string_view bytes, bool is_first) const;

  // Whether the first token is another text than it would be elsewhere.
  bool first_differs() const { return first_differs_; }

 private:
  struct Edit {
    DecoderSpec::Edit spec;
    std::optional<PatternFinder> finder;
  };
  static std::vector<Edit> prepare(const std::vector<DecoderSpec::Edit>& specs);
  static void apply(const std::vector<Edit>& edits, bool is_first, std::string& text);

  DecoderSpec spec_;
  std::vector<Edit> edits_;
  std::vector<Edit> edits_after_fallback_;
  bool first_differs_ = false;
};

// Takes up to `start` characters at the beginning and `stop` at the end, where they are character.
void strip_characters(std::string_view character, uint32_t start, uint32_t stop, std::string& text);

}  // namespace prefold
