#include "run/run_model.h"

#include <algorithm>

#include "base/error.h"

namespace prefold {

LoraOption parse_lora_option(std::string_view typed) {
  const size_t equals = typed.find('=');
  if (equals == 0 || equals == std::string_view::npos || equals + 1 == typed.size()) {
    throw Error(fmt::format("--lora is \"{}\"; wanted NAME=PATH", typed));
  }
  return {std::string(typed.substr(0, equals)), std::string(typed.substr(equals + 1))};
}

ModelFile open_run_model(const RunOptions& options) {
  ModelFile model = open_model(options.model);
  for (size_t i = 0; i < options.lora.size(); ++i) {
    const LoraOption& option = options.lora[i];
    if (option.name == model.config.name) {
      throw Error(
          fmt::format("--lora {}={}: is the name of the model itself, which lines without "
                      "an adapter may give; wanted another",
                      option.name, option.path));
    }
    const auto same_name = [&](const LoraOption& other) { return other.name == option.name; };
    if (std::any_of(options.lora.begin(), options.lora.begin() + static_cast<std::ptrdiff_t>(i),
                    same_name)) {
      throw Error(fmt::format("--lora {}={}: there is another adapter of that name", option.name,
                              option.path));
    }
    model.adapters.push_back(open_lora(option.path, model));
  }
  return model;
}

}  // namespace prefold
