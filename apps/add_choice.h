// Options that take one of several words. For the files that declare options.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

namespace prefold {

// Sets `value` to what the word that was typed stands for. The first word is the default; where
// that depends on something, say so with default_str.
template <typename T>
CLI::Option* add_choice(CLI::App& app, const std::string& name, T& value,
                        const std::vector<std::pair<std::string, T>>& choices,
                        const std::string& help) {
  std::vector<std::string> words;
  for (const auto& [word, meaning] : choices) words.push_back(word);
  const auto take = [&value, choices, words, name](const std::string& typed) {
    for (const auto& [word, meaning] : choices) {
      if (word != typed) continue;
      value = meaning;
      return;
    }
    throw CLI::ValidationError(
        fmt::format("{} is \"{}\"; expected one of {}", name, typed, fmt::join(words, ", ")));
  };
  return app.add_option_function<std::string>(name, take, help)
      ->type_name(fmt::format("{}", fmt::join(words, "|")))
      ->default_str(words.front());
}

}  // namespace prefold
