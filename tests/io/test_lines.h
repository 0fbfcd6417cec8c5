// Input lines of tests, all of them line 118 of prompts.jsonl.
#pragma once

#include <string>
#include <string_view>

#include "io/request_reader.h"

namespace prefold {

inline RequestOrError read(std::string_view text, const SamplingParams& defaults = {}) {
  return read_request({{"prompts.jsonl", 118}, text, false, 1000}, defaults);
}

inline std::string chat_line(const std::string& body_members, const std::string& id = "a") {
  return "{\"custom_id\":\"" + id +
         "\",\"method\":\"POST\",\"url\":\"/v1/chat/"
         "completions\",\"body\":{\"messages\":[{\"role\":"
         "\"user\",\"content\":\"hi\"}]" +
         body_members + "}}";
}

inline std::string completion_line(const std::string& body_members) {
  return "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":{" +
         body_members + "}}";
}

inline std::string embedding_line(const std::string& body_members) {
  return "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/embeddings\",\"body\":{" +
         body_members + "}}";
}

}  // namespace prefold
