// Runs a compiled template.
#pragma once

#include <string>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/runtime.h"

namespace prefold::jinja {

// The text of the template. Throws RequestError("template_error").
std::string render(const Template& tree, Runtime& rt);

}  // namespace prefold::jinja
