#include "model/gguf_chat_format.h"

#include <array>
#include <optional>
#include <utility>

#include "base/error.h"

namespace prefold {
namespace {

constexpr std::string_view kTemplate = "tokenizer.chat_template";

// Those that the tokenizer has no use for. The spelling of the first is gguf-py's.
constexpr std::array<std::pair<const char*, const char*>, 3> kOtherTokens = {{
    {"sep_token", "tokenizer.ggml.seperator_token_id"},
    {"cls_token", "tokenizer.ggml.cls_token_id"},
    {"mask_token", "tokenizer.ggml.mask_token_id"},
}};

}  // namespace

ChatFormat read_gguf_chat_format(const GgufMetadata& metadata, const TokenizerSpec& spec) {
  ChatFormat format;
  for (const GgufEntry& entry : *metadata.entries) {
    if (!entry.key.starts_with(kTemplate)) continue;
    const std::string_view rest = entry.key.substr(kTemplate.size());
    if (!rest.empty() && rest.front() != '.') continue;  // "tokenizer.chat_templates", their names
    const std::string name = rest.empty() ? "default" : std::string(rest.substr(1));
    for (const NamedTemplate& other : format.templates) {
      if (other.name == name) {
        throw FormatError(
            fmt::format("{}: there are two chat templates \"{}\"", metadata.path, printable(name)));
      }
    }
    format.templates.push_back({name, std::string(*find_string(metadata, entry.key))});
  }

  const auto add = [&](const char* name, std::optional<int64_t> id) {
    if (id) format.special_tokens.push_back({name, spec.tokens[static_cast<size_t>(*id)]});
  };
  add("bos_token", spec.bos_id);
  add("eos_token", spec.eos_id);
  add("unk_token", spec.unknown_id);
  add("pad_token", spec.pad_id);
  const auto last_id = static_cast<int64_t>(spec.tokens.size()) - 1;
  for (const auto& [name, key] : kOtherTokens) add(name, find_int(metadata, key, 0, last_id));
  return format;
}

}  // namespace prefold
