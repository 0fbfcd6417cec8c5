// What happens to text before it is cut into words.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/charsmap.h"
#include "tokenizer/pattern_finder.h"
#include "tokenizer/text_steps.h"

namespace prefold {

class Normalizer {
 public:
  // Throws FormatError for patterns and charsmaps that are not valid.
  explicit Normalizer(const std::vector<NormalizerStep>& steps);

  bool empty() const { return steps_.empty(); }

  // Rewrites text, which is not empty at first; spare is work memory. Returns whether the first
  // character still stems from the beginning of the text (or was put before it).
  bool apply(std::string& text, std::string& spare) const;

 private:
  struct Step {
    NormalizerStep spec;
    std::optional<PatternFinder> finder;
    std::optional<Charsmap> charsmap;
  };
  std::vector<Step> steps_;
};

}  // namespace prefold
