// Regular expressions of tokenizer.json are in Oniguruma's Ruby syntax; we search with PCRE2.
#pragma once

#include <string>
#include <string_view>

namespace prefold {

// The PCRE2 pattern (for UTF mode) with the same matches as `pattern` has in Oniguruma 6.9.10 with
// Unicode 16. It captures nothing. What PCRE2 lacks or reads differently without our being able to
// say it otherwise is refused: throws FormatError naming the construct and its place.
std::string translate_oniguruma(std::string_view pattern);

}  // namespace prefold
