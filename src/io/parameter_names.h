// Names of OpenAI's and vLLM's interfaces that prefold knows but does not act on.
#pragma once

#include <span>
#include <string_view>

#include "io/field.h"

namespace prefold {

// True for a field that cannot change the answer (user, store, ...), and for one that could, but
// whose value says it does not ("stream": false). Throws RequestError("unsupported_parameter") for
// a known field whose value asks for something else. False for an unknown name.
bool accept_without_effect(const Field& field);

// The known name that is at most two edits away (one, for names under six letters) and closest, or
// "".
std::string_view closest_name(std::string_view name, std::span<const std::string_view> known);

}  // namespace prefold
