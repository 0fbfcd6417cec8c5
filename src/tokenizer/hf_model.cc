// The model and the post-processor of tokenizer.json.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "tokenizer/hf_components.h"

namespace prefold {
namespace {

constexpr int64_t kMaxTokens = 1 << 24;  // far above any vocabulary; bounds what a file can take
constexpr size_t kMaxDepth = 8;

void set_token(const std::string& token, size_t id, TokenizerSpec& spec) {
  if (id >= spec.tokens.size()) {
    spec.tokens.resize(id + 1);
    spec.kinds.resize(id + 1, TokenKind::kUnused);
    if (spec.model == TokenizerModel::kUnigram) spec.scores.resize(id + 1, 0.0);
  }
  spec.tokens[id] = token;
  spec.kinds[id] = TokenKind::kNormal;
}

// Any id may come first, so room is made for as many as there are tokens and some holes.
void read_vocab(const JsonValue& json, TokenizerSpec& spec) {
  if (!json.is_object()) json.refuse("an object of tokens and ids");
  const int64_t max_id =
      std::min<int64_t>(kMaxTokens, 4 * static_cast<int64_t>(json.json().size()) + 65536);
  for (const auto& [token, id] : json.json().items()) {
    // Built only for the error: a path for each of many tokens would take its time.
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > max_id) {
      json.member(token).refuse(fmt::format("an id from 0 to {}", max_id));
    }
    const auto place = static_cast<size_t>(id.get<int64_t>());
    if (place < spec.tokens.size() && spec.kinds[place] != TokenKind::kUnused) {
      json.fail(fmt::format("gives the id {} to two tokens", place));
    }
    set_token(token, place, spec);
  }
}

// "a b" or ["a", "b"].
void read_merges(const JsonValue& json, TokenizerSpec& spec) {
  const size_t n = json.array_size();
  spec.merges.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    const nlohmann::json& merge = json.json()[i];
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      spec.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      continue;
    }
    if (!merge.is_string()) json.element(i).refuse("two tokens");
    const std::string& line = merge.get_ref<const std::string&>();
    const size_t space = line.find(' ');
    if (space == std::string::npos || space != line.rfind(' ')) {
      json.element(i).refuse("two tokens with a space between them");
    }
    spec.merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
}

int32_t id_of(const JsonValue& name, const TokenizerSpec& spec) {
  const auto found = std::find(spec.tokens.begin(), spec.tokens.end(), name.string());
  if (found == spec.tokens.end() || name.string().empty()) name.refuse("a token of the vocabulary");
  return static_cast<int32_t>(found - spec.tokens.begin());
}

void refuse_affix(const JsonValue& json, std::string_view key) {
  const auto affix = json.find(key);
  if (affix && !affix->string().empty()) affix->refuse("none: such vocabularies are not supported");
}

void read_bpe(const JsonValue& json, TokenizerSpec& spec) {
  json.allow_only({"type", "dropout", "unk_token", "continuing_subword_prefix",
                   "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab",
                   "merges"});
  spec.model = TokenizerModel::kBpe;
  if (const auto dropout = json.find("dropout")) {
    if (dropout->number() != 0.0) dropout->refuse("none: tokens must not be left to chance");
  }
  refuse_affix(json, "continuing_subword_prefix");
  refuse_affix(json, "end_of_word_suffix");
  read_vocab(json.member("vocab"), spec);
  read_merges(json.member("merges"), spec);
  spec.byte_fallback = json.boolean_or("byte_fallback", false);
  spec.ignore_merges = json.boolean_or("ignore_merges", false);
  spec.fuse_unknown = json.boolean_or("fuse_unk", false);
  if (const auto unknown = json.find("unk_token")) spec.unknown_id = id_of(*unknown, spec);
}

void read_unigram(const JsonValue& json, TokenizerSpec& spec) {
  json.allow_only({"type", "unk_id", "vocab", "byte_fallback"});
  spec.model = TokenizerModel::kUnigram;
  const JsonValue vocab = json.member("vocab");
  const size_t n = vocab.array_size();
  if (n > static_cast<size_t>(kMaxTokens)) vocab.refuse(fmt::format("at most {}", kMaxTokens));
  for (size_t i = 0; i < n; ++i) {
    const nlohmann::json& piece = vocab.json()[i];
    if (!piece.is_array() || piece.size() != 2 || !piece[0].is_string() || !piece[1].is_number() ||
        !std::isfinite(piece[1].get<double>())) {
      vocab.element(i).refuse("a piece and its score");
    }
    set_token(piece[0].get_ref<const std::string&>(), i, spec);
    spec.scores[i] = piece[1].get<double>();
  }
  spec.byte_fallback = json.boolean_or("byte_fallback", false);
  spec.unknown_id =
      static_cast<int32_t>(json.member("unk_id").integer(0, static_cast<int64_t>(n) - 1));
}

int32_t check_id(const JsonValue& id, const TokenizerSpec& spec) {
  return static_cast<int32_t>(id.integer(0, static_cast<int64_t>(spec.tokens.size()) - 1));
}

void read_template(const JsonValue& json, TokenizerSpec& spec) {
  json.allow_only({"type", "single", "pair", "special_tokens"});
  const JsonValue single = json.member("single");
  bool text_seen = false;
  std::vector<int32_t> prefix;
  std::vector<int32_t> suffix;
  for (size_t i = 0; i < single.array_size(); ++i) {
    const JsonValue item = single.element(i);
    item.allow_only({"SpecialToken", "Sequence"});
    if (const auto sequence = item.find("Sequence")) {
      const JsonValue id = sequence->member("id");
      if (id.string() != "A") id.refuse("\"A\"");
      if (text_seen) item.fail("is the text a second time, which is not supported");
      text_seen = true;
      continue;
    }
    const std::string& name = item.member("SpecialToken").member("id").string();
    const JsonValue ids = json.member("special_tokens").member(name).member("ids");
    for (size_t k = 0; k < ids.array_size(); ++k) {
      (text_seen ? suffix : prefix).push_back(check_id(ids.element(k), spec));
    }
  }
  if (!text_seen) single.fail("does not have the text, {\"Sequence\": {\"id\": \"A\"}}");
  spec.prefix_ids.insert(spec.prefix_ids.begin(), prefix.begin(), prefix.end());
  spec.suffix_ids.insert(spec.suffix_ids.end(), suffix.begin(), suffix.end());
}

// ["</s>", 2]
int32_t read_token_pair(const JsonValue& json, const TokenizerSpec& spec) {
  if (json.array_size() != 2) json.refuse("a token and its id");
  return check_id(json.element(1), spec);
}

void read_post_processor(const JsonValue& json, size_t depth, TokenizerSpec& spec) {
  const JsonValue type = json.member("type");
  const std::string& name = type.string();
  if (name == "Sequence") {
    json.allow_only({"type", "processors"});
    if (depth == kMaxDepth) json.fail(fmt::format("is nested more than {} deep", kMaxDepth));
    const JsonValue parts = json.member("processors");
    for (size_t i = 0; i < parts.array_size(); ++i) {
      read_post_processor(parts.element(i), depth + 1, spec);
    }
  } else if (name == "TemplateProcessing") {
    read_template(json, spec);
  } else if (name == "BertProcessing" || name == "RobertaProcessing") {
    json.allow_only({"type", "sep", "cls", "trim_offsets", "add_prefix_space"});
    spec.prefix_ids.insert(spec.prefix_ids.begin(), read_token_pair(json.member("cls"), spec));
    spec.suffix_ids.push_back(read_token_pair(json.member("sep"), spec));
  } else if (name == "ByteLevel") {  // about offsets only
    json.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  } else {
    type.refuse(
        "a post-processor that is supported: TemplateProcessing, ByteLevel, BertProcessing, "
        "RobertaProcessing or Sequence");
  }
}

}  // namespace

void read_hf_model(const JsonValue& json, TokenizerSpec& spec) {
  const auto type = json.find("type");
  if (!type) {  // as Hugging Face tokenizers tell them apart
    json.find("merges") ? read_bpe(json, spec) : read_unigram(json, spec);
  } else if (type->string() == "BPE") {
    read_bpe(json, spec);
  } else if (type->string() == "Unigram") {
    read_unigram(json, spec);
  } else {
    type->refuse("a model that is supported: BPE or Unigram");
  }
  if (spec.tokens.empty()) json.member("vocab").refuse("tokens");
}

void read_hf_post_processor(const JsonValue& json, TokenizerSpec& spec) {
  read_post_processor(json, 0, spec);
}

}  // namespace prefold
