// The option of adapters.
#include "args_options.h"
#include "base/error.h"
#include "run/run_model.h"

namespace prefold {

CLI::Option* add_lora_option(CLI::App& app, std::vector<LoraOption>& lora) {
  const auto take = [&lora](const std::vector<std::string>& typed) {
    lora.clear();
    try {
      for (const std::string& option : typed) lora.push_back(parse_lora_option(option));
    } catch (const Error& error) {
      throw CLI::ValidationError(error.what());
    }
  };
  return app
      .add_option_function<std::vector<std::string>>(
          "--lora", take,
          "An adapter, a PEFT folder or a GGUF file; lines with \"lora\": \"NAME\", or with its "
          "name as their \"model\", go through it. May be given several times")
      ->allow_extra_args(false)
      ->type_name("NAME=PATH");
}

}  // namespace prefold
