// The options that can change what a request is answered.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "run/options.h"

namespace prefold {

// All of them, as resolved, under the names of docs/formats.md; the model's content and the inputs
// apart. Two runs with the same object give each request the same result line (on a GPU: if it is
// deterministic). Whoever adds an option that can change an answer adds it here.
nlohmann::ordered_json answer_options(const RunConfig& config);

// An option as JSON; null where nothing was said.
template <typename T>
nlohmann::ordered_json or_null(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

}  // namespace prefold
