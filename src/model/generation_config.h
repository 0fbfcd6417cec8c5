// generation_config.json: how a model's makers want it to be sampled, and where its answers end.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "model/json_object.h"

namespace prefold {

// What a file says; the rest is left open.
struct GenerationConfig {
  std::vector<int32_t> stop_ids;  // tokens that end an answer, besides the tokenizer's
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<int32_t> top_k;
  std::optional<float> min_p;
  std::optional<float> repetition_penalty;
};

// generation: the file's object, or an empty one; config: that of config.json, whose eos_token_id
// counts where generation has none. Ids must be below vocab_size. Values that sampling does not
// know (beams, an assistant) are refused unless they change nothing. Throws FormatError.
GenerationConfig read_generation_config(const JsonObject& generation, const JsonObject& config,
                                        int32_t vocab_size);

}  // namespace prefold
