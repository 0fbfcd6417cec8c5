// A table of named functions, searched by name.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "tokenizer/jinja/builtins.h"

namespace prefold::jinja {

struct NamedBuiltin {
  std::string_view name;
  Builtin call;
};

template <size_t N>
Builtin find_builtin(const std::array<NamedBuiltin, N>& table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [name](const NamedBuiltin& entry) { return entry.name == name; });
  return found == table.end() ? nullptr : found->call;
}

}  // namespace prefold::jinja
