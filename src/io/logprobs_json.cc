#include "io/logprobs_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "io/json_text.h"
#include "io/utf8.h"

namespace prefold {
namespace {

std::span<const TokenAlternative> first_top(const TokenLogprob& token, int32_t n_top) {
  return {token.top.data(), std::min(token.top.size(), static_cast<size_t>(n_top))};
}

// Calls write(token) for each token in order, with null where there is none, and puts commas.
template <typename Write>
void append_list(std::string& out, const TokenLogprobs& tokens, Write&& write) {
  out += '[';
  bool first = true;
  const auto append = [&](const TokenLogprob* token) {
    if (!first) out += ',';
    first = false;
    write(token);
  };
  for (const auto& token : tokens.prompt) append(token ? &*token : nullptr);
  for (const TokenLogprob& token : tokens.output) append(&token);
  out += ']';
}

void append_short_token(std::string& out, int32_t id, const std::string& token, float logprob) {
  out += "\"id\":";
  append_json_integer(out, id);
  out += ",\"token\":";
  append_json_string(out, token);
  if (!is_valid_utf8(token)) {
    out += ",\"bytes\":";
    append_json_bytes(out, token);
  }
  out += ",\"logprob\":";
  append_json_logprob(out, logprob);
}

void append_chat_token(std::string& out, const std::string& token, float logprob) {
  out += "\"token\":";
  append_json_string(out, token);
  out += ",\"logprob\":";
  append_json_logprob(out, logprob);
  out += ",\"bytes\":";
  append_json_bytes(out, token);
}

std::string completion_spelling(const std::string& token) {
  if (is_valid_utf8(token)) return token;
  std::string spelling = "bytes:";
  for (const char byte : token) {
    spelling += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  }
  return spelling;
}

// Keys are spellings, which two tokens may share: the more probable one is kept.
void append_completion_top(std::string& out, const TokenLogprob& token, int32_t n_top) {
  std::unordered_set<std::string> written;
  out += '{';
  const auto append = [&](const std::string& text, float logprob) {
    std::string key = completion_spelling(text);
    const bool first = written.empty();
    if (!written.insert(key).second) return;
    if (!first) out += ',';
    append_json_string(out, key);
    out += ':';
    append_json_logprob(out, logprob);
  };
  for (const TokenAlternative& other : first_top(token, n_top)) append(other.token, other.logprob);
  append(token.token, token.logprob);
  out += '}';
}

void append_vllm_entry(std::string& out, int32_t id, float logprob, std::optional<int64_t> rank,
                       const std::string& token) {
  out += fmt::format("\"{}\":{{\"logprob\":", id);
  append_json_logprob(out, logprob);
  out += ",\"rank\":";
  out += rank ? fmt::format("{}", *rank) : "null";
  out += ",\"decoded_token\":";
  append_json_string(out, token);
  out += '}';
}

}  // namespace

void append_short_logprobs(std::string& out, const TokenLogprobs& tokens, int32_t n_top) {
  append_list(out, tokens, [&](const TokenLogprob* token) {
    if (token == nullptr) {
      out += "null";
      return;
    }
    out += '{';
    append_short_token(out, token->id, token->token, token->logprob);
    out += ",\"top\":[";
    bool first = true;
    for (const TokenAlternative& other : first_top(*token, n_top)) {
      out += first ? "{" : ",{";
      first = false;
      append_short_token(out, other.id, other.token, other.logprob);
      out += '}';
    }
    out += "]}";
  });
}

void append_chat_logprobs(std::string& out, const TokenLogprobs& tokens, int32_t n_top) {
  out += "{\"content\":";
  append_list(out, tokens, [&](const TokenLogprob* token) {
    if (token == nullptr) {
      out += "null";
      return;
    }
    out += '{';
    append_chat_token(out, token->token, token->logprob);
    out += ",\"top_logprobs\":[";
    bool first = true;
    for (const TokenAlternative& other : first_top(*token, n_top)) {
      out += first ? "{" : ",{";
      first = false;
      append_chat_token(out, other.token, other.logprob);
      out += '}';
    }
    out += "]}";
  });
  out += ",\"refusal\":null}";
}

void append_completion_logprobs(std::string& out, const TokenLogprobs& tokens, int32_t n_top) {
  Utf8Counter characters;
  out += "{\"text_offset\":";
  append_list(out, tokens, [&](const TokenLogprob* token) {
    append_json_integer(out, characters.n_complete());
    characters.push(token == nullptr ? tokens.first_text : token->token);
  });
  out += ",\"token_logprobs\":";
  append_list(out, tokens, [&](const TokenLogprob* token) {
    if (token == nullptr) {
      out += "null";
    } else {
      append_json_logprob(out, token->logprob);
    }
  });
  out += ",\"tokens\":";
  append_list(out, tokens, [&](const TokenLogprob* token) {
    append_json_string(out,
                       completion_spelling(token == nullptr ? tokens.first_text : token->token));
  });
  out += ",\"top_logprobs\":";
  append_list(out, tokens, [&](const TokenLogprob* token) {
    if (token == nullptr) {
      out += "null";
    } else {
      append_completion_top(out, *token, n_top);
    }
  });
  out += '}';
}

void append_vllm_prompt_logprobs(std::string& out,
                                 std::span<const std::optional<TokenLogprob>> tokens,
                                 int32_t n_top) {
  append_list(out, {tokens, {}, {}}, [&](const TokenLogprob* token) {
    if (token == nullptr) {
      out += "null";
      return;
    }
    const auto top = first_top(*token, n_top);
    const auto same = std::find_if(top.begin(), top.end(),
                                   [&](const auto& other) { return other.id == token->id; });
    std::optional<int64_t> rank;
    if (same != top.end()) rank = same - top.begin() + 1;
    out += '{';
    append_vllm_entry(out, token->id, token->logprob, rank, token->token);
    for (size_t i = 0; i < top.size(); ++i) {
      if (top[i].id == token->id) continue;
      out += ',';
      append_vllm_entry(out, top[i].id, top[i].logprob, static_cast<int64_t>(i) + 1, top[i].token);
    }
    out += '}';
  });
}

}  // namespace prefold
