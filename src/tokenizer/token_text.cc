#include "tokenizer/token_text.h"

#include <utility>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/utf8.h"

namespace prefold {

void strip_characters(std::string_view character, uint32_t start, uint32_t stop,
                      std::string& text) {
  std::string_view rest = text;
  for (; start > 0 && rest.substr(0, character.size()) == character; --start) {
    rest.remove_prefix(character.size());
  }
  for (; stop > 0 && rest.size() >= character.size() &&
         rest.substr(rest.size() - character.size()) == character;
       --stop) {
    rest.remove_suffix(character.size());
  }
  text = std::string(rest);
}

std::vector<TokenText::Edit> TokenText::prepare(const std::vector<DecoderSpec::Edit>& specs) {
  std::vector<Edit> edits;
  for (const DecoderSpec::Edit& spec : specs) {
    Edit& edit = edits.emplace_back();
    edit.spec = spec;
    edit.finder.emplace(spec.pattern);
  }
  return edits;
}

void TokenText::apply(const std::vector<Edit>& edits, bool is_first, std::string& text) {
  using Kind = DecoderSpec::Edit::Kind;
  for (const Edit& edit : edits) {
    std::string edited;
    switch (edit.spec.kind) {
      case Kind::kReplace:
        replace_all(*edit.finder, text, edit.spec.content, edited);
        text = std::move(edited);
        break;
      case Kind::kSpaces:
        replace_all(*edit.finder, text, edit.spec.drops_first && is_first ? "" : " ", edited);
        text = std::move(edited);
        break;
      case Kind::kStrip:
        strip_characters(edit.spec.pattern.text, edit.spec.start, edit.spec.stop, text);
        break;
    }
  }
}

TokenText::TokenText(const DecoderSpec& spec)
    : spec_(spec),
      edits_(prepare(spec.edits)),
      edits_after_fallback_(prepare(spec.edits_after_fallback)) {
  for (const std::vector<Edit>* edits : {&edits_, &edits_after_fallback_}) {
    for (const Edit& edit : *edits) first_differs_ = first_differs_ || edit.spec.drops_first;
  }
}

std::string TokenText::text_of(std::string_view token, bool is_first) const {
  std::string text(token);
  apply(edits_, is_first, text);
  apply(edits_after_fallback_, is_first, text);
  if (spec_.join != DecoderSpec::Join::kBytes) return text;
  // What is not written in the byte alphabet stands for itself.
  return bytes_of_alphabet(text).value_or(text);
}

std::string TokenText::text_of_bytes(std::string_view bytes, bool is_first) const {
  std::string text;
  if (find_invalid_utf8(bytes) == std::string_view::npos) {
    text = bytes;
    apply(edits_after_fallback_, is_first, text);
    return text;
  }
  for (size_t i = 0; i < bytes.size(); ++i) text += kReplacementCharacter;
  return text;
}

}  // namespace prefold
