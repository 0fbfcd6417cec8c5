#include "tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <utility>

namespace prefold {

PreTokenizer::PreTokenizer(const std::vector<PreTokenizerStep>& steps) {
  for (const PreTokenizerStep& spec : steps) {
    Step& step = steps_.emplace_back();
    step.spec = spec;
    if (spec.kind == PreTokenizerStep::Kind::kSplit ||
        spec.kind == PreTokenizerStep::Kind::kReplace) {
      step.finder.emplace(spec.pattern);
    }
  }
  // The last step's spelling is left to the model, which knows each byte's token.
  gives_bytes_ =
      !steps_.empty() && steps_.back().spec.kind == PreTokenizerStep::Kind::kByteAlphabet;
  if (gives_bytes_) steps_.pop_back();
}

// A match joins its neighbour; of matches in a row only the nearest does.
void PreTokenizer::merge_parts(SplitBehavior behavior,
                               std::vector<PreTokenizerScratch::Part>& parts) {
  std::vector<PreTokenizerScratch::Part> merged;
  bool previous_match = false;
  const auto joins = [&](const PreTokenizerScratch::Part& part) {
    return part.is_match && !previous_match && !merged.empty();
  };
  switch (behavior) {
    case SplitBehavior::kContiguous:
      for (const PreTokenizerScratch::Part& part : parts) {
        if (!merged.empty() && merged.back().is_match == part.is_match) {
          merged.back().end = part.end;
        } else {
          merged.push_back(part);
        }
      }
      break;
    case SplitBehavior::kMergedWithPrevious:
      for (const PreTokenizerScratch::Part& part : parts) {
        if (joins(part)) {
          merged.back().end = part.end;
        } else {
          merged.push_back(part);
        }
        previous_match = part.is_match;
      }
      break;
    case SplitBehavior::kMergedWithNext:
      for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
        if (joins(*part)) {
          merged.back().begin = part->begin;
        } else {
          merged.push_back(*part);
        }
        previous_match = part->is_match;
      }
      std::reverse(merged.begin(), merged.end());
      break;
    case SplitBehavior::kRemoved:
    case SplitBehavior::kIsolated:
      return;
  }
  parts = std::move(merged);
}

}  // namespace prefold
