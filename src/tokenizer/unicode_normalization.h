// Unicode normalization forms (UAX #15) as of the Unicode version of Hugging Face tokenizers:
// characters that are newer stay as they are.
#pragma once

#include <string>
#include <string_view>

namespace prefold {

enum class NormalizationForm { kNfc, kNfd, kNfkc, kNfkd };

// Appends text (UTF-8) in the given form.
void append_normalized(std::string_view text, NormalizationForm form, std::string& out);

}  // namespace prefold
