// Chat templates: the subset of Jinja2 that models ship, run as transformers'
// apply_chat_template runs it (trim_blocks, lstrip_blocks, loop controls, tojson, strftime_now,
// raise_exception, generation blocks). Execution is bounded in time, depth and output: the
// template comes from a file that nobody vetted.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace prefold {

class ChatTemplate {
 public:
  // Compiles. Throws FormatError with line and construct for what the language or this subset
  // lacks.
  explicit ChatTemplate(const std::string& source);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // variables: an object such as {"messages": [...], "add_generation_prompt": true, "tools": null,
  // "bos_token": "...", "eos_token": "..."}. now_unix_s feeds strftime_now (local time). Thread
  // safe. As apply_chat_template does, members of messages that are null are dropped, a message's
  // reasoning is there as "thinking" and as "reasoning_content" whichever name it came under, and
  // absent "tools" and "documents" are none, an absent "add_generation_prompt" is false.
  // Throws RequestError("template_error") for raise_exception, undefined values and exceeded
  // limits.
  std::string render(const nlohmann::ordered_json& variables, int64_t now_unix_s) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace prefold
