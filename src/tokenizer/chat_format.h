// How a model wants chats to be spelled, as its files say: templates by name and the special tokens
// that they see. Plain text; nothing has been compiled or checked.
#pragma once

#include <string>
#include <vector>

namespace prefold {

struct NamedTemplate {
  std::string name;  // "default", "tool_use", ...; a model's only, unnamed template is "default"
  std::string source;
};

struct SpecialTokenName {
  std::string name;      // "bos_token"
  std::string spelling;  // "<s>"
};

struct ChatFormat {
  std::vector<NamedTemplate> templates;  // distinct names; empty: the model has no chats
  // Those the model has of bos_token, eos_token, unk_token, sep_token, pad_token, cls_token and
  // mask_token: variables of every template, as in apply_chat_template. Others are undefined there.
  std::vector<SpecialTokenName> special_tokens;
};

// A template's name as messages show it: in quotes, ASCII with JSON's escapes, cut after 64 bytes.
std::string quoted_name(const std::string& name);

}  // namespace prefold
