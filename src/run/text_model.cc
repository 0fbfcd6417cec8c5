#include "run/text_model.h"

#include <algorithm>

#include "base/error.h"
#include "cache/block_table.h"
#include "io/json_line.h"
#include "plan/prefix_tree.h"
#include "run/chat_prompt.h"

namespace prefold {
namespace {

using Prompts = std::vector<std::vector<int32_t>>;

struct Encode {
  const Request& request;
  const TextModel& text;

  Prompts operator()(const std::string& prompt) const { return {encode(prompt)}; }
  Prompts operator()(const std::vector<int32_t>& ids) const { return {encode(ids)}; }
  Prompts operator()(const ChatMessages& chat) const {
    return {text.tokenizer.encode(render_chat(text, chat), request.add_special_tokens, true)};
  }
  Prompts operator()(const EmbeddingInputs& inputs) const {
    Prompts prompts;
    for (const auto& input : inputs.inputs) {
      prompts.push_back(std::visit([&](const auto& it) { return encode(it); }, input));
    }
    return prompts;
  }

  std::vector<int32_t> encode(const std::string& prompt) const {
    return text.tokenizer.encode(prompt, request.add_special_tokens, true);
  }
  std::vector<int32_t> encode(const std::vector<int32_t>& ids) const {
    const int32_t n_vocab = text.tokenizer.vocab_size();
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < 0 || ids[i] >= n_vocab) {
        throw RequestError("invalid_value",
                           fmt::format("prompt token {} is {}; this model's ids go from 0 to {}", i,
                                       ids[i], n_vocab - 1));
      }
    }
    return ids;
  }
};

// Throws RequestError unless the prompt leaves room for a token (or, if none is wanted, fits).
int32_t checked_max_tokens(const Request& request, int64_t n_prompt, const RunConfig& config) {
  if (n_prompt == 0) throw RequestError("empty_prompt", "the prompt has no tokens");
  const SamplingParams& params = request.params;
  const bool only_scored = params.max_tokens == 0;
  if (n_prompt + (only_scored ? 0 : 1) > config.max_model_len) {
    throw RequestError("prompt_too_long",
                       fmt::format("the prompt has {} tokens; this run takes {} for prompt and "
                                   "answer together (--max-model-len)",
                                   n_prompt, config.max_model_len));
  }
  const int32_t room = static_cast<int32_t>(config.max_model_len - n_prompt);
  const int32_t max_tokens = std::min(params.max_tokens.value_or(room), room);
  const int64_t n_blocks = blocks_for(static_cast<int32_t>(n_prompt) + max_tokens, kKvBlockTokens);
  if (n_blocks > config.max_line_blocks) {
    throw RequestError(
        "needs_more_kv",
        fmt::format("the prompt's {} tokens and max_tokens {} need {} bytes of KV cache; there are "
                    "{} (--kv-memory)",
                    n_prompt, max_tokens, n_blocks * config.kv_bytes_per_block,
                    config.max_line_blocks * config.kv_bytes_per_block));
  }
  return max_tokens;
}

// Of a line's prompts: the same for the inputs of an embedding line, 0.
int32_t checked_max_tokens(const Request& request, const Prompts& prompts,
                           const RunConfig& config) {
  int32_t max_tokens = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    try {
      max_tokens = checked_max_tokens(request, std::ssize(prompts[i]), config);
    } catch (const RequestError& error) {
      if (prompts.size() == 1) throw;
      throw RequestError(error.code(), fmt::format("\"input[{}]\": {}", i, error.what()));
    }
  }
  return max_tokens;
}

// Throws RequestError unless this model's embeddings are as wanted.
void check_embedding(const EmbeddingParams& params, int32_t hidden_size) {
  if (params.dimensions.value_or(0) > hidden_size) {
    throw RequestError("invalid_value",
                       fmt::format("\"dimensions\" is {}; this model's embeddings have {}",
                                   *params.dimensions, hidden_size));
  }
}

void check_token_ids_of(const Request& request, int32_t n_vocab) {
  const auto check = [&](int32_t id, const char* name) {
    if (id < 0 || id >= n_vocab) {
      throw RequestError("invalid_value",
                         fmt::format("\"{}\" names token {}; this model's ids go from 0 to {}",
                                     name, id, n_vocab - 1));
    }
  };
  for (const auto& [id, bias] : request.params.logit_bias) check(id, "logit_bias");
  for (int32_t id : request.params.stop_token_ids) check(id, "stop_token_ids");
}

// "the adapters of this run are a, b", of many the first ones.
std::string known_adapters(const std::vector<LoraOption>& adapters) {
  constexpr size_t kMostNames = 8;
  if (adapters.empty()) return "this run has no adapters (--lora NAME=PATH)";
  std::string known;
  for (size_t i = 0; i < std::min(adapters.size(), kMostNames); ++i) {
    known += (known.empty() ? "" : ", ") + adapters[i].name;
  }
  if (adapters.size() > kMostNames) {
    known += fmt::format(" and {} more", adapters.size() - kMostNames);
  }
  return "the adapters of this run are " + known;
}

}  // namespace

TextModel make_text_model(const ModelFile& model, int64_t now_unix_s) {
  const TokenizerSpec& spec = model.tokenizer;
  TextModel text{Tokenizer(spec),
                 ChatTemplates(model.chat_format.templates),
                 model.chat_format.special_tokens,
                 {},
                 now_unix_s,
                 model.config.hidden_size};
  text.eos_ids = model.generation.stop_ids;
  for (const std::optional<int32_t>& id : {spec.eos_id, spec.eot_id}) {
    if (id) text.eos_ids.push_back(*id);
  }
  return text;
}

std::vector<std::vector<int32_t>> tokenise_request(Request& request, const TextModel& text,
                                                   const RunConfig& config) {
  check_token_ids_of(request, text.tokenizer.vocab_size());
  if (request.embedding) check_embedding(*request.embedding, text.hidden_size);
  Prompts prompts = std::visit(Encode{request, text}, request.prompt);
  request.params.max_tokens = checked_max_tokens(request, prompts, config);
  return prompts;
}

int32_t adapter_of(const Request& request, const std::vector<LoraOption>& adapters) {
  const auto find = [&](const std::string& name) {
    const auto found = std::find_if(adapters.begin(), adapters.end(),
                                    [&](const LoraOption& it) { return it.name == name; });
    return found == adapters.end() ? kNoAdapter : static_cast<int32_t>(found - adapters.begin());
  };
  const int32_t by_model = find(request.model);
  if (!request.lora) return by_model;
  const int32_t adapter = find(*request.lora);
  if (adapter == kNoAdapter) {
    throw RequestError(
        "model_not_found",
        fmt::format("\"lora\" is {}; {}", show_text(*request.lora), known_adapters(adapters)));
  }
  if (by_model != kNoAdapter && by_model != adapter) {
    throw RequestError("invalid_value",
                       fmt::format("\"lora\" is {} but \"model\" names the adapter {}",
                                   show_text(*request.lora), show_text(request.model)));
  }
  return adapter;
}

}  // namespace prefold
