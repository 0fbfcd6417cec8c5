#include "tokenizer/normalizer.h"

#include <utility>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/unicode_normalization.h"

namespace prefold {
namespace {

void strip(const NormalizerStep& step, std::string_view text, std::string& out) {
  size_t begin = 0;
  size_t end = text.size();
  while (step.left && begin < end) {
    size_t next = begin;
    if (!is_white_space(next_char(text, next))) break;
    begin = next;
  }
  while (step.right && end > begin) {
    const size_t last = previous_char(text, end);
    size_t pos = last;
    if (!is_white_space(next_char(text, pos))) break;
    end = last;
  }
  out = text.substr(begin, end - begin);
}

void strip_marks(std::string_view text, std::string& out) {
  for (size_t pos = 0; pos < text.size();) {
    const size_t begin = pos;
    if (!is_mark(next_char(text, pos))) out.append(text.substr(begin, pos - begin));
  }
}

void lowercase(std::string_view text, std::string& out) {
  for (size_t pos = 0; pos < text.size();) append_lowercase(next_char(text, pos), out);
}

// Whether a step that only ever drops characters has dropped the first.
bool drops_first(NormalizerStep::Kind kind, std::string_view before, std::string_view after) {
  if (kind == NormalizerStep::Kind::kStrip) {
    size_t pos = 0;
    return after.empty() ||
           (before.substr(0, after.size()) != after && is_white_space(next_char(before, pos)));
  }
  size_t pos = 0;
  return kind == NormalizerStep::Kind::kStripAccents && is_mark(next_char(before, pos));
}

}  // namespace

Normalizer::Normalizer(const std::vector<NormalizerStep>& steps) {
  for (const NormalizerStep& spec : steps) {
    Step& step = steps_.emplace_back();
    step.spec = spec;
    if (spec.kind == NormalizerStep::Kind::kReplace) step.finder.emplace(spec.pattern);
    if (spec.kind == NormalizerStep::Kind::kCharsmap) step.charsmap.emplace(spec.content);
  }
}

bool Normalizer::apply(std::string& text, std::string& spare) const {
  using Kind = NormalizerStep::Kind;
  bool at_start = true;
  for (const Step& step : steps_) {
    if (text.empty()) break;
    spare.clear();
    switch (step.spec.kind) {
      case Kind::kNfc:
        append_normalized(text, NormalizationForm::kNfc, spare);
        break;
      case Kind::kNfd:
        append_normalized(text, NormalizationForm::kNfd, spare);
        break;
      case Kind::kNfkc:
        append_normalized(text, NormalizationForm::kNfkc, spare);
        break;
      case Kind::kNfkd:
        append_normalized(text, NormalizationForm::kNfkd, spare);
        break;
      case Kind::kLowercase:
        lowercase(text, spare);
        break;
      case Kind::kStripAccents:
        strip_marks(text, spare);
        break;
      case Kind::kStrip:
        strip(step.spec, text, spare);
        break;
      case Kind::kReplace:
        replace_all(*step.finder, text, step.spec.content, spare);
        break;
      case Kind::kPrepend:
        spare.append(step.spec.content).append(text);
        break;
      case Kind::kCharsmap:
        step.charsmap->apply(text, spare);
        break;
      case Kind::kByteAlphabet:
        append_in_alphabet(text, spare);
        break;
    }
    at_start = at_start && !drops_first(step.spec.kind, text, spare);
    std::swap(text, spare);
  }
  return at_start;
}

}  // namespace prefold
