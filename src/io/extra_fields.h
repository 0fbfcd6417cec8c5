// Fields of a line that are no parameters: data of the user's own, which the result gets back. A
// name that could be meant as a parameter is refused, since it would have no effect.
#pragma once

#include <string_view>

#include "io/field.h"
#include "io/request_parameters.h"

namespace prefold {

// For a field of a short line, where it has no meaning. Throws
// RequestError("unsupported_parameter") naming the parameter that was probably meant.
void check_extra_field(const Field& field, RequestForm form);

// The same for a field beside an OpenAI line's "body"; a parameter's own name is refused too.
void check_field_beside_body(const Field& field);

// For a field of an OpenAI line's "body", where every unknown name is refused: to OpenAI's servers
// it is an error too, and a name that is new to us may well change an answer.
[[noreturn]] void throw_unknown_in_body(std::string_view name, RequestForm form);

// Which of the members that give a prompt `name` is a misspelling of, or "".
std::string_view misspelt_prompt(std::string_view name);

// The members of `extra` behind those of `metadata`, which is an object or null. Throws
// RequestError("invalid_value") if it is something else or has a member of the same name.
void add_extra_fields(Json::object_t extra, Json& metadata);

}  // namespace prefold
