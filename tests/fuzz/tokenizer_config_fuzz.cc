// tokenizer_config.json: where a Hugging Face model's chat templates and special tokens come from.
#include "base/error.h"

#include <nlohmann/json.hpp>

#include "fuzz/fuzz_target.h"
#include "model/hf_chat_format.h"
#include "tokenizer/chat_templates.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  using namespace prefold;
  const nlohmann::ordered_json config =
      nlohmann::ordered_json::parse(text_of(data, n_bytes), nullptr, false);
  if (config.is_discarded()) return 0;
  try {
    const ChatFormat format = read_hf_chat_format("no-such-folder", config);
    nlohmann::ordered_json variables = {{"messages", nlohmann::ordered_json::array()}};
    for (const SpecialTokenName& token : format.special_tokens) {
      variables[token.name] = token.spelling;
    }
    const ChatTemplates templates(format.templates);
    for (const bool has_tools : {false, true}) templates.pick(has_tools).render(variables, 0);
  } catch (const Error&) {
  }
  return 0;
}
