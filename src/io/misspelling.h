// Which known name a person meant who wrote another one.
#pragma once

#include <span>
#include <string_view>

namespace prefold {

// The one of `known` of which `name` looks like a misspelling, or "". The same letters but for case
// and separators (maxTokens, max-tokens) always are one. Else one slip, from ten letters on two,
// where a slip is a letter too many, too few, replaced, or swapped with its neighbour. Of names of
// four and five letters every replaced letter makes another word (stop, step), so only swapped
// ones, a doubled one and a missing or added final s are slips; shorter ones have none.
std::string_view misspelt_name(std::string_view name, std::span<const std::string_view> known);

}  // namespace prefold
