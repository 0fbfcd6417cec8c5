#include "tokenizer/unicode_normalization.h"

#include <utf8proc.h>

#include <cstdlib>

#include "base/check.h"
#include "base/error.h"
#include "tokenizer/char_class.h"

namespace prefold {
namespace {

constexpr uint16_t kNothing = UINT16_MAX;  // of utf8proc's indices into its tables

// Neither changed itself nor by what stands before or after it.
bool stands_alone(char32_t c) {
  const bool hangul = (c >= 0x1100 && c <= 0x11ff) || (c >= 0xac00 && c <= 0xd7ff);
  if (hangul) return false;  // composed by rule, not by table
  if (is_inert_in_normalization(c)) return true;
  const utf8proc_property_t* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
  return property->combining_class == 0 && property->decomp_seqindex == kNothing &&
         property->comb_index == kNothing;
}

void append_segment(std::string_view segment, NormalizationForm form, std::string& out) {
  int options = UTF8PROC_STABLE;
  options |= form == NormalizationForm::kNfc || form == NormalizationForm::kNfkc
                 ? UTF8PROC_COMPOSE
                 : UTF8PROC_DECOMPOSE;
  if (form == NormalizationForm::kNfkc || form == NormalizationForm::kNfkd) {
    options |= UTF8PROC_COMPAT;
  }
  utf8proc_uint8_t* made = nullptr;
  const utf8proc_ssize_t n_bytes =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(segment.data()),
                   static_cast<utf8proc_ssize_t>(segment.size()), &made,
                   static_cast<utf8proc_option_t>(options));
  if (n_bytes < 0) {
    throw RequestError("tokenizer_limit", fmt::format("the text could not be normalised: {}",
                                                      utf8proc_errmsg(n_bytes)));
  }
  out.append(reinterpret_cast<const char*>(made), static_cast<size_t>(n_bytes));
  std::free(made);
}

}  // namespace

// ASCII changes nothing but may be the base of marks after it, so a segment to normalise is a run
// of characters that do not stand alone with the ASCII character before it.
void append_normalized(std::string_view text, NormalizationForm form, std::string& out) {
  size_t done = 0;  // what is out already
  for (size_t pos = 0; pos < text.size();) {
    if (static_cast<unsigned char>(text[pos]) < 0x80) {
      ++pos;
      continue;
    }
    const size_t begin = pos;
    char32_t c = next_char(text, pos);
    if (stands_alone(c)) continue;
    const bool has_base = begin > done && static_cast<unsigned char>(text[begin - 1]) < 0x80;
    const size_t segment = begin - (has_base ? 1 : 0);
    size_t end = pos;
    while (end < text.size() && static_cast<unsigned char>(text[end]) >= 0x80) {
      size_t next = end;
      c = next_char(text, next);
      if (stands_alone(c)) break;
      end = next;
    }
    out.append(text.substr(done, segment - done));
    append_segment(text.substr(segment, end - segment), form, out);
    done = pos = end;
  }
  out.append(text.substr(done));
}

}  // namespace prefold
