// What was asked: a line of the input. docs/formats.md gives the JSON form.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "plan/request_params.h"

namespace prefold {

// Where a request came from, for messages and for default ids: "<file>:<line>", lines from 1.
struct SourceLine {
  std::string file;
  int64_t line = 0;
  bool repeats_id = false;  // a line that went to another shard has its id (io/source_marker.h)
};

// A prompt is exactly one of: text, token ids, messages for the chat template, or the inputs of an
// embedding line, one or several.
struct ChatMessages {
  nlohmann::ordered_json messages;         // array of {"role", "content", ...}
  nlohmann::ordered_json tools;            // array or null
  nlohmann::ordered_json template_kwargs;  // object: further variables of the template
  bool add_generation_prompt = true;
};
struct EmbeddingInputs {
  std::vector<std::variant<std::string, std::vector<int32_t>>> inputs;
};
using Prompt = std::variant<std::string, std::vector<int32_t>, ChatMessages, EmbeddingInputs>;

struct Request {
  std::string id;              // custom_id or id as given, else "<file>:<line>"
  bool id_is_integer = false;  // given as a JSON integer: written back as one
  SourceLine source;
  LineKind kind = LineKind::kShort;
  Prompt prompt;
  SamplingParams params;
  std::optional<EmbeddingParams> embedding;  // of kOpenAiEmbedding
  bool add_special_tokens = true;            // text prompts: BOS as the model's tokenizer says
  std::string model;                         // as written in the line; echoed in OpenAI results
  std::optional<std::string> lora;           // the name of an adapter
  // Passed through to the result, null when absent: a short line's metadata and unknown fields, or
  // the metadata in an OpenAI line's body, and what stands beside that body.
  nlohmann::ordered_json metadata;
  nlohmann::ordered_json beside_body;
  int32_t n_extra_fields = 0;  // the unknown fields among them, which are the last ones
};

}  // namespace prefold
