// What turns requests into token ids, from a model's file alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/request_reader.h"
#include "model/model_file.h"
#include "run/options.h"
#include "tokenizer/chat_templates.h"
#include "tokenizer/tokenizer.h"

namespace prefold {

struct TextModel {
  Tokenizer tokenizer;
  ChatTemplates chat_templates;
  std::vector<SpecialTokenName> special_tokens;  // what templates see of them
  std::vector<int32_t> eos_ids;                  // tokens that end an answer
  int64_t now_unix_s = 0;   // what the template sees as the time: the job's start
  int32_t hidden_size = 0;  // of the model: values of an embedding
};
TextModel make_text_model(const ModelFile& model, int64_t now_unix_s);

// The token ids of a request's prompt, or of the inputs of an embedding line. Sets
// request.params.max_tokens: at most what the context leaves room for. Throws RequestError for a
// prompt or parameters that this model or run cannot take.
std::vector<std::vector<int32_t>> tokenise_request(Request& request, const TextModel& text,
                                                   const RunConfig& config);

// The number of the adapter that a request asks for: by "lora", or by a "model" of its name, as
// servers take it; kNoAdapter for none. Throws RequestError if there is none of that name, or the
// two name different ones.
int32_t adapter_of(const Request& request, const std::vector<LoraOption>& adapters);

}  // namespace prefold
