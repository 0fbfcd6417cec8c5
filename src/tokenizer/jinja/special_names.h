// Which of the special names loop, caller, kwargs and varargs a body uses: that decides whether a
// loop or macro provides them.
#pragma once

#include <set>
#include <string>

#include "tokenizer/jinja/ast.h"

namespace prefold::jinja {

// The names that the body, inner blocks included, reads before it sets them.
std::set<std::string> special_names_read(std::set<std::string> names, const Body& body);

}  // namespace prefold::jinja
