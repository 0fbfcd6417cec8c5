// Finds out at compile time where each variable lives, with Jinja's rules: if-blocks share the
// variables of what is around them, loops, macros, call, filter, with and set blocks have their
// own; a name that a block only reads is the outer one; a name that it sets is a new variable that
// starts as a copy of the outer one. Also checks what else can only be checked with the whole
// tree: break outside a loop, unknown filters and tests, assignments to `loop`.
#pragma once

#include "tokenizer/jinja/ast.h"

namespace prefold::jinja {

// Fills every VariableRef, Scope and Function of the tree. Throws FormatError.
void resolve_scopes(Template* tree);

}  // namespace prefold::jinja
