// What the members of a request mean: sampling parameters, prompt, and the many names of OpenAI's
// and vLLM's interfaces that are ignored or refused. docs/formats.md lists them all.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "io/json_line.h"
#include "io/line_problems.h"
#include "plan/request.h"

namespace prefold {

// Where a request's members stand, since some have a meaning in some of these only.
enum class RequestForm : uint8_t {
  kChatBody = 1,        // body of /v1/chat/completions
  kCompletionBody = 2,  // body of /v1/completions
  kShortMessages = 4,   // short line with "messages"
  kShortPrompt = 8,     // short line with "prompt" or "prompt_token_ids"
  kEmbeddingBody = 16,  // body of /v1/embeddings
};

// Reads the members of `object` (a short line or an OpenAI body; may be moved from) into
// request.prompt, params, embedding, add_special_tokens, model, lora and metadata. On entry
// request.params holds the defaults. A member that is null counts as absent. "id" is left to the
// caller in short lines, where unknown members join the metadata (io/extra_fields.h). `problems`
// gets what is wrong, in the order of the members, then what contradicts between them:
// invalid_value, missing_field, unsupported_parameter, unsupported_content. With problems the
// request is of no use but for its metadata.
void read_request_members(Json& object, RequestForm form, Request& request, LineProblems& problems);

// Whether a line or body of any form may have a member of that name.
bool is_parameter(std::string_view name);

// Names of the parameters that change an answer in one of `forms` (RequestForm values, added),
// other than the prompt.
std::vector<std::string_view> parameters_that_matter(uint8_t forms);

}  // namespace prefold
