// Tokens to syntax tree. Throws FormatError naming line and construct.
#pragma once

#include <string_view>

#include "tokenizer/jinja/ast.h"

namespace prefold::jinja {

// The whole way from source to a tree whose variables are resolved.
Template compile(std::string_view source);

}  // namespace prefold::jinja
