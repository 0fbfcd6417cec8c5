// The parts of str's methods that several files share.
#pragma once

#include <string>

#include "tokenizer/jinja/access.h"

namespace prefold::jinja {

// str.replace; a negative count replaces all.
std::string replace_text(Runtime& rt, const std::string& text, const std::string& old_text,
                         const std::string& new_text, int64_t count);

// Methods that ask about a string: find, startswith, isdigit, ... (string_queries.cc).
const Method* find_string_query(std::string_view name);

// str.format and str.format_map (str_format.cc).
Value format_braces(Runtime& rt, const Value& self, CallArgs args);
Value format_map_braces(Runtime& rt, const Value& self, CallArgs args);

bool is_upper_text(std::string_view text);  // str.isupper
bool is_lower_text(std::string_view text);

}  // namespace prefold::jinja
