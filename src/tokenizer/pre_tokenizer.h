// The first cut: normalised text into words that the model encodes each on its own.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/pattern_finder.h"
#include "tokenizer/text_steps.h"

namespace prefold {

// Work memory, one per thread.
struct PreTokenizerScratch {
  struct Part {
    size_t begin;
    size_t end;
    bool is_match;
  };
  struct Level {
    std::string text;
    std::vector<Part> parts;
  };
  std::vector<Level> levels;  // one per step
};

class PreTokenizer {
 public:
  // Throws FormatError for patterns that are not valid.
  explicit PreTokenizer(const std::vector<PreTokenizerStep>& steps);

  // Whether words are bytes of the text that the byte alphabet spells, rather than spelled already.
  bool gives_bytes() const { return gives_bytes_; }

  // Calls fn(word) for each word, none of which is empty, in order. at_start: text is the beginning
  // of what is encoded. Words are valid during the call.
  template <typename Fn>
  void for_each_word(std::string_view text, bool at_start, PreTokenizerScratch& scratch,
                     Fn&& fn) const {
    if (scratch.levels.size() < steps_.size()) scratch.levels.resize(steps_.size());
    if (!text.empty()) run(0, text, at_start, scratch, fn);
  }

 private:
  struct Step {
    PreTokenizerStep spec;
    std::optional<PatternFinder> finder;
  };

  template <typename Fn>
  void run(size_t step_idx, std::string_view text, bool at_start, PreTokenizerScratch& scratch,
           Fn& fn) const {
    if (step_idx == steps_.size()) {
      fn(text);
      return;
    }
    const Step& step = steps_[step_idx];
    PreTokenizerScratch::Level& level = scratch.levels[step_idx];
    using Kind = PreTokenizerStep::Kind;
    const auto pass_on = [&](std::string_view changed) {
      run(step_idx + 1, changed, at_start, scratch, fn);
    };
    switch (step.spec.kind) {
      case Kind::kSplit:
        split(step, text, level, [&](size_t begin, size_t end) {
          run(step_idx + 1, text.substr(begin, end - begin), at_start && begin == 0, scratch, fn);
        });
        return;
      case Kind::kReplace:
        replace_all(*step.finder, text, step.spec.content, level.text);
        if (!level.text.empty()) pass_on(level.text);
        return;
      case Kind::kPrepend:
      case Kind::kPrependFirst:
        if ((step.spec.kind == Kind::kPrependFirst && !at_start) ||
            text.substr(0, step.spec.content.size()) == step.spec.content) {
          pass_on(text);
        } else {
          level.text.assign(step.spec.content).append(text);
          pass_on(level.text);
        }
        return;
      case Kind::kByteAlphabet:
        level.text.clear();
        append_in_alphabet(text, level.text);
        pass_on(level.text);
        return;
    }
  }

  // Calls fn(begin, end) for each piece that is not empty.
  template <typename Fn>
  static void split(const Step& step, std::string_view text, PreTokenizerScratch::Level& level,
                    Fn&& fn) {
    const auto emit = [&](size_t begin, size_t end) {
      if (begin < end) fn(begin, end);
    };
    const bool invert = step.spec.invert;
    const SplitBehavior behavior = step.spec.behavior;
    if (behavior == SplitBehavior::kIsolated || behavior == SplitBehavior::kRemoved) {
      step.finder->for_each_part(text, [&](size_t begin, size_t end, bool is_match) {
        if (behavior == SplitBehavior::kIsolated || is_match == invert) emit(begin, end);
      });
      return;
    }
    level.parts.clear();
    step.finder->for_each_part(text, [&](size_t begin, size_t end, bool is_match) {
      level.parts.push_back({begin, end, is_match != invert});
    });
    merge_parts(behavior, level.parts);
    for (const PreTokenizerScratch::Part& part : level.parts) emit(part.begin, part.end);
  }

  static void merge_parts(SplitBehavior behavior, std::vector<PreTokenizerScratch::Part>& parts);

  std::vector<Step> steps_;
  bool gives_bytes_ = false;
};

}  // namespace prefold
