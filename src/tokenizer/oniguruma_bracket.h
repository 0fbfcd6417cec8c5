// Sets of characters in an Oniguruma pattern: \s, \p{...} and bracket expressions.
#pragma once

#include <cstddef>

#include "tokenizer/oniguruma_class.h"
#include "tokenizer/oniguruma_reader.h"

namespace prefold {

// \s, \d, \w, \h, \N, \O, \p{...} and their opposites, behind the backslash; false of anything
// else, which stays. begin: where the backslash stood.
bool class_escape(OnigurumaReader& in, ClassText& set, OnigurumaOptions options, size_t begin);

// After "[", past "]". Returns whether the whole is negated.
bool bracket(OnigurumaReader& in, ClassText& set, OnigurumaOptions options, int depth);

}  // namespace prefold
