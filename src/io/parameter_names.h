// Names of OpenAI's, vLLM's and other tools' interfaces that prefold knows but does not act on.
#pragma once

#include <string_view>
#include <vector>

#include "io/field.h"

namespace prefold {

// True for a field that cannot change the answer (user, store, ...), and for one that could, but
// whose value says it does not ("stream": false). Throws RequestError("unsupported_parameter") for
// a known field whose value asks for something else. False for an unknown name.
bool accept_without_effect(const Field& field);

// The first kind alone: user, store, ...
bool is_without_effect(std::string_view name);

// The names of the second kind.
std::vector<std::string_view> unsupported_names();

// What the parameter is called here that other tools call `name`, or "": max_tokens for
// max_new_tokens.
std::string_view name_here(std::string_view name);

// Whether clients or servers give parameters in an object of that name: "sampling_params".
bool may_hold_parameters(std::string_view name);

}  // namespace prefold
