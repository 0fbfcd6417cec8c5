// Options of adapters.
#include "args_options.h"
#include "base/error.h"
#include "run/run_model.h"

namespace prefold {

void add_lora_options(CLI::App& app, RunOptions& run) {
  const auto take = [&run](const std::vector<std::string>& typed) {
    run.lora.clear();
    try {
      for (const std::string& option : typed) run.lora.push_back(parse_lora_option(option));
    } catch (const Error& error) {
      throw CLI::ValidationError(error.what());
    }
  };
  app.add_option_function<std::vector<std::string>>(
         "--lora", take,
         "An adapter, a PEFT folder or a GGUF file; lines with \"lora\": \"NAME\", or with its "
         "name as their \"model\", go through it. May be given several times")
      ->allow_extra_args(false)
      ->type_name("NAME=PATH");
}

}  // namespace prefold
