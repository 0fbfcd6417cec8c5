// The messages of a request as its model's chat template wants them.
//
// Templates are written for transformers, whose conversations differ from OpenAI's in two places.
// As vLLM does before it renders:
//
//   - the arguments of a message's tool calls, a JSON text in OpenAI's API, become the object that
//     they spell; none, null and "" become {}. A message's empty list of tool calls is left out.
//     A template that cannot be rendered so may be one that joins strings: it gets them as given.
//   - text parts that are not empty become one string, joined by line ends, unless the template
//     takes parts.
#pragma once

#include <string>

#include "run/text_model.h"

namespace prefold {

// The text of a chat prompt. Throws RequestError: what the template raises, "invalid_value" for
// arguments that are no JSON object.
std::string render_chat(const TextModel& text, const ChatMessages& chat);

}  // namespace prefold
