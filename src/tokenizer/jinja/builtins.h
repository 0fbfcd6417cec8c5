// Filters, tests and global functions by name.
#pragma once

#include <string>
#include <string_view>

#include "tokenizer/jinja/object.h"

namespace prefold::jinja {

// args.positional[0] is the input of a filter or test.
using Builtin = Value (*)(Runtime& rt, CallArgs args);

// Null if there is none of that name.
Builtin find_filter(std::string_view name);
Builtin find_test(std::string_view name);
// Says also if Jinja itself has the filter.
std::string unknown_filter_message(std::string_view name);

// kMissing if there is none: range, dict, namespace, cycler, joiner, raise_exception, strftime_now.
Value find_global(std::string_view name);

// The tables behind find_filter, one for each file of filters. Null if the name is not in it.
Builtin find_text_filter(std::string_view name);
Builtin find_number_filter(std::string_view name);
Builtin find_sequence_filter(std::string_view name);
Builtin find_selection_filter(std::string_view name);

}  // namespace prefold::jinja
