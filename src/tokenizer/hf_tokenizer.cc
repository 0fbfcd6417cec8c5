#include "tokenizer/hf_tokenizer.h"

#include <charconv>
#include <unordered_map>

#include "base/error.h"
#include "tokenizer/hf_components.h"

namespace prefold {
namespace {

// Ids by spelling: of the model's tokens the last, of added tokens the only one.
using TokenIds = std::unordered_map<std::string, int32_t>;

TokenIds ids_by_spelling(const TokenizerSpec& spec) {
  TokenIds ids;
  ids.reserve(spec.tokens.size());
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    if (spec.kinds[i] != TokenKind::kUnused) ids[spec.tokens[i]] = static_cast<int32_t>(i);
  }
  return ids;
}

class TokenizerReader {
 public:
  explicit TokenizerReader(int32_t n_rows) : n_rows_(n_rows) {}

  TokenizerSpec read(const HfTokenizerFiles& files) {
    const nlohmann::json tokenizer = parse_json(files.tokenizer_json, files.tokenizer_path);
    const JsonValue root(tokenizer, files.tokenizer_path, "");
    root.allow_only({"version", "truncation", "padding", "added_tokens", "normalizer",
                     "pre_tokenizer", "post_processor", "decoder", "model"});
    read_hf_model(root.member("model"), spec_);
    if (spec_.tokens.size() > static_cast<size_t>(n_rows_)) {
      root.member("model").member("vocab").fail(fmt::format(
          "has ids up to {}; the embedding has {} rows", spec_.tokens.size() - 1, n_rows_));
    }
    ids_ = ids_by_spelling(spec_);
    spec_.tokens.resize(static_cast<size_t>(n_rows_));
    spec_.kinds.resize(static_cast<size_t>(n_rows_), TokenKind::kUnused);
    if (spec_.model == TokenizerModel::kUnigram) spec_.scores.resize(spec_.tokens.size(), 0.0);
    read_steps(root);
    if (const auto added = root.find("added_tokens")) {
      for (size_t i = 0; i < added->array_size(); ++i) {
        const JsonValue token = added->element(i);
        add_token(token, token.member("id"));
      }
    }
    if (const auto processor = root.find("post_processor")) {
      read_hf_post_processor(*processor, spec_);
    }
    if (!files.config_json.empty()) {
      const nlohmann::json config = parse_json(files.config_json, files.config_path);
      read_config(JsonValue(config, files.config_path, ""));
    }
    find_end_of_turn();
    mark_bytes();
    return std::move(spec_);
  }

 private:
  void read_steps(const JsonValue& root) {
    if (const auto normalizer = root.find("normalizer")) {
      read_hf_normalizer(*normalizer, spec_.steps.normalizer);
    }
    if (const auto pre_tokenizer = root.find("pre_tokenizer")) {
      read_hf_pre_tokenizer(*pre_tokenizer, spec_.steps.pre_tokenizer);
    }
    if (const auto decoder = root.find("decoder")) {
      spec_.steps.decoder = read_hf_decoder(*decoder);
    } else {
      spec_.steps.decoder.join = DecoderSpec::Join::kSpaced;
    }
  }

  static AddedToken read_flags(const JsonValue& json) {
    AddedToken token;
    token.content = json.member("content").string();
    token.single_word = json.boolean_or("single_word", false);
    token.lstrip = json.boolean_or("lstrip", false);
    token.rstrip = json.boolean_or("rstrip", false);
    token.special = json.boolean_or("special", false);
    token.normalized = json.boolean_or("normalized", !token.special);
    return token;
  }

  void add_token(const JsonValue& json, const JsonValue& id) {
    json.allow_only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    AddedToken token = read_flags(json);
    if (token.content.empty()) return;  // as Hugging Face tokenizers
    token.id = static_cast<int32_t>(id.integer(0, n_rows_ - 1));
    add_token(std::move(token), id);
  }

  void add_token(AddedToken token, const JsonValue& at) {
    const auto [known, is_new] = ids_.emplace(token.content, token.id);
    if (known->second != token.id) {
      at.refuse(fmt::format("{}, the id of that token elsewhere", known->second));
    }
    const size_t place = static_cast<size_t>(token.id);
    if (is_new && spec_.kinds[place] != TokenKind::kUnused) {
      at.refuse(fmt::format("an id that is not the one of another token"));
    }
    token.in_model = !is_new && spec_.kinds[place] == TokenKind::kNormal;
    const auto [earlier, added_first] = added_at_.emplace(token.id, spec_.added_tokens.size());
    if (added_first) {
      spec_.added_tokens.push_back(token);
    } else {
      token.in_model = spec_.added_tokens[earlier->second].in_model;
      spec_.added_tokens[earlier->second] = token;
    }
    spec_.tokens[place] = token.content;
    spec_.kinds[place] = !token.special                 ? TokenKind::kUserDefined
                         : token.id == spec_.unknown_id ? TokenKind::kUnknown
                                                        : TokenKind::kControl;
  }

  void read_config(const JsonValue& config) {
    if (!config.is_object()) config.refuse("an object");
    if (const auto decoder = config.find("added_tokens_decoder")) read_more_tokens(*decoder);
    spec_.bos_id = special_id(config, "bos_token");
    spec_.eos_id = special_id(config, "eos_token");
    spec_.pad_id = special_id(config, "pad_token");
    special_id(config, "unk_token");
    const auto add_bos = config.find("add_bos_token");
    const auto add_eos = config.find("add_eos_token");
    if (!add_bos && !add_eos) return;
    spec_.prefix_ids.clear();
    spec_.suffix_ids.clear();
    // Without such a token none is added.
    if (add_bos && add_bos->boolean() && spec_.bos_id) spec_.prefix_ids = {*spec_.bos_id};
    if (add_eos && add_eos->boolean() && spec_.eos_id) spec_.suffix_ids = {*spec_.eos_id};
  }

  // {"128000": {"content": "<|begin_of_text|>", ...}, ...}
  void read_more_tokens(const JsonValue& decoder) {
    if (!decoder.is_object()) decoder.refuse("an object of ids and tokens");
    for (const auto& [key, value] : decoder.json().items()) {
      const JsonValue json = decoder.member(key);
      json.allow_only(
          {"content", "single_word", "lstrip", "rstrip", "normalized", "special", "__type"});
      AddedToken token = read_flags(json);
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
      if (error != std::errc() || end != key.data() + key.size() || token.id < 0 ||
          token.id >= n_rows_) {
        json.fail(fmt::format("has a key that is no id from 0 to {}", n_rows_ - 1));
      }
      if (!token.content.empty()) add_token(std::move(token), json);
    }
  }

  // A string, or an object with a "content". A token that is named but not added yet becomes a
  // special one. Nothing if it is not in the vocabulary: the model cannot know it.
  std::optional<int32_t> special_id(const JsonValue& config, std::string_view key) {
    const auto named = config.find(key);
    if (!named) return std::nullopt;
    const JsonValue content = named->is_object() ? named->member("content") : *named;
    const auto known = ids_.find(content.string());
    if (known == ids_.end()) return std::nullopt;
    if (!added_at_.contains(known->second)) {
      AddedToken token;
      token.content = content.string();
      token.id = known->second;
      token.special = true;
      add_token(std::move(token), content);
    }
    return known->second;
  }

  void find_end_of_turn() {
    for (const char* text : {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>"}) {
      const auto known = ids_.find(text);
      if (known == ids_.end()) continue;
      if (spec_.kinds[static_cast<size_t>(known->second)] != TokenKind::kControl) continue;
      spec_.eot_id = known->second;
      return;
    }
  }

  // Byte tokens are known by their names, where bytes have tokens.
  void mark_bytes() {
    if (!spec_.byte_fallback && !spec_.steps.decoder.byte_fallback) return;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const auto known = ids_.find(fmt::format("<0x{:02X}>", byte));
      if (known == ids_.end()) continue;
      TokenKind& kind = spec_.kinds[static_cast<size_t>(known->second)];
      if (kind == TokenKind::kNormal || kind == TokenKind::kUserDefined) kind = TokenKind::kByte;
    }
  }

  int32_t n_rows_;
  TokenizerSpec spec_;
  TokenIds ids_;
  std::unordered_map<int32_t, size_t> added_at_;  // places in spec_.added_tokens, by id
};

}  // namespace

TokenizerSpec read_hf_tokenizer(const HfTokenizerFiles& files, int32_t n_rows) {
  return TokenizerReader(n_rows).read(files);
}

}  // namespace prefold
