#include "model/gguf_tokenizer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace prefold {
namespace {

TokenizerModel read_model(const GgufMetadata& metadata) {
  const auto model = find_string(metadata, "tokenizer.ggml.model");
  if (!model) {
    throw FormatError(fmt::format(
        "{}: \"tokenizer.ggml.model\" is missing: the file has no tokenizer", metadata.path));
  }
  if (*model == "gpt2") return TokenizerModel::kBpe;
  if (*model == "llama") return TokenizerModel::kSentencePieceBpe;
  throw FormatError(
      fmt::format("{}: \"tokenizer.ggml.model\" is \"{}\"; supported are \"gpt2\" (byte-level BPE) "
                  "and \"llama\" "
                  "(SentencePiece)",
                  metadata.path, printable(*model)));
}

void check_length(const GgufMetadata& metadata, std::string_view key, uint64_t count,
                  int32_t vocab_size) {
  if (count == static_cast<uint64_t>(vocab_size)) return;
  throw FormatError(fmt::format("{}: \"{}\" has {} elements; the embedding has {} rows",
                                metadata.path, key, count, vocab_size));
}

template <typename T>
T element_of(const GgufArray& array, size_t i) {
  T value;
  std::memcpy(&value, array.bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

// GGUF numbers the kinds from 1 in the order of TokenKind; 0 stands for none, an ordinary token.
std::vector<TokenKind> read_kinds(const GgufMetadata& metadata, int32_t vocab_size) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  constexpr int32_t kLastKind = 1 + static_cast<int32_t>(TokenKind::kByte);
  std::vector<TokenKind> kinds(static_cast<size_t>(vocab_size), TokenKind::kNormal);
  const GgufArray* array = find_array(metadata, kKey, {GgufType::kInt32, GgufType::kUint32});
  if (array == nullptr) return kinds;
  check_length(metadata, kKey, array->count, vocab_size);
  for (size_t i = 0; i < kinds.size(); ++i) {
    const auto number = element_of<int32_t>(*array, i);
    if (number < 0 || number > kLastKind) {
      throw FormatError(fmt::format("{}: \"{}\" of token {} is {}; wanted 0 to {}", metadata.path,
                                    kKey, i, number, kLastKind));
    }
    if (number > 0) kinds[i] = static_cast<TokenKind>(number - 1);
  }
  return kinds;
}

std::vector<double> read_scores(const GgufMetadata& metadata, int32_t vocab_size) {
  constexpr std::string_view kKey = "tokenizer.ggml.scores";
  const GgufArray* array = find_array(metadata, kKey, {GgufType::kFloat32});
  if (array == nullptr)
    throw FormatError(fmt::format("{}: \"{}\" is missing", metadata.path, kKey));
  check_length(metadata, kKey, array->count, vocab_size);
  std::vector<double> scores(static_cast<size_t>(vocab_size));
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = element_of<float>(*array, i);
  return scores;
}

std::vector<std::string> require_strings(const GgufMetadata& metadata, std::string_view key) {
  const GgufArray* array = find_array(metadata, key, {GgufType::kString});
  if (array == nullptr) throw FormatError(fmt::format("{}: \"{}\" is missing", metadata.path, key));
  return strings_of(*array);
}

// "left right"; a token may begin with a space.
std::vector<std::pair<std::string, std::string>> read_merges(const GgufMetadata& metadata) {
  constexpr std::string_view kKey = "tokenizer.ggml.merges";
  constexpr size_t kQuotedBytes = 80;
  std::vector<std::pair<std::string, std::string>> merges;
  for (const std::string& line : require_strings(metadata, kKey)) {
    const size_t space = line.find(' ', 1);
    if (space == std::string::npos || space + 1 == line.size()) {
      throw FormatError(
          fmt::format("{}: \"{}\": merge {} is \"{}\"; wanted two tokens and a space between them",
                      metadata.path, kKey, merges.size(), printable(line.substr(0, kQuotedBytes))));
    }
    merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

std::optional<int32_t> find_id(const GgufMetadata& metadata, std::string_view which,
                               int32_t vocab_size) {
  const auto id =
      find_int(metadata, fmt::format("tokenizer.ggml.{}_token_id", which), 0, vocab_size - 1);
  if (!id) return std::nullopt;
  return static_cast<int32_t>(*id);
}

// Files from before the eot_token_id key leave the end of a turn to be known by its spelling.
std::optional<int32_t> find_end_of_turn(const TokenizerSpec& spec) {
  for (const std::string_view text : {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>"}) {
    const auto found = std::find(spec.tokens.begin(), spec.tokens.end(), text);
    if (found == spec.tokens.end()) continue;
    const auto id = static_cast<size_t>(found - spec.tokens.begin());
    if (spec.kinds[id] == TokenKind::kControl) return static_cast<int32_t>(id);
  }
  return std::nullopt;
}

void read_special_ids(const GgufMetadata& metadata, int32_t vocab_size, TokenizerSpec& spec) {
  spec.bos_id = find_id(metadata, "bos", vocab_size);
  spec.eos_id = find_id(metadata, "eos", vocab_size);
  spec.eot_id = find_id(metadata, "eot", vocab_size);
  spec.unknown_id = find_id(metadata, "unknown", vocab_size);
  spec.pad_id = find_id(metadata, "padding", vocab_size);
  if (!spec.eot_id) spec.eot_id = find_end_of_turn(spec);
  if (spec.model == TokenizerModel::kSentencePieceBpe && vocab_size > 2) {
    if (!spec.unknown_id) spec.unknown_id = 0;
    if (!spec.bos_id) spec.bos_id = 1;
    if (!spec.eos_id) spec.eos_id = 2;
  }
}

// Whether llama.cpp puts BOS first when the file does not say.
bool adds_bos_by_default(const TokenizerSpec& spec) {
  if (spec.model == TokenizerModel::kSentencePieceBpe) return true;
  for (const std::string_view pre : {"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1",
                                     "pixtral", "midm-2.0", "lfm2", "tekken", "chameleon"}) {
    if (spec.pre == pre) return true;
  }
  return false;
}

// A token can only be added if there is one.
bool read_add(const GgufMetadata& metadata, std::string_view which, std::optional<int32_t> id,
              bool by_default) {
  const std::string key = fmt::format("tokenizer.ggml.add_{}_token", which);
  const auto wanted = find_bool(metadata, key);
  if (wanted == true && !id) {
    throw FormatError(
        fmt::format("{}: \"{}\" is true but \"tokenizer.ggml.{}_token_id\" is missing",
                    metadata.path, key, which));
  }
  return wanted.value_or(by_default) && id.has_value();
}

}  // namespace

TokenizerSpec read_tokenizer(const GgufMetadata& metadata, int32_t vocab_size) {
  TokenizerSpec spec;
  spec.model = read_model(metadata);
  const bool is_bpe = spec.model == TokenizerModel::kBpe;
  if (is_bpe) {
    constexpr std::string_view kPre = "tokenizer.ggml.pre";
    spec.pre = find_string(metadata, kPre).value_or("default");
    if (spec.pre.empty()) {
      throw FormatError(fmt::format("{}: \"{}\" is empty; wanted a name", metadata.path, kPre));
    }
  }
  spec.tokens = require_strings(metadata, "tokenizer.ggml.tokens");
  check_length(metadata, "tokenizer.ggml.tokens", spec.tokens.size(), vocab_size);
  spec.kinds = read_kinds(metadata, vocab_size);
  if (is_bpe) {
    spec.merges = read_merges(metadata);
  } else {
    spec.scores = read_scores(metadata, vocab_size);
  }
  read_special_ids(metadata, vocab_size, spec);
  if (read_add(metadata, "bos", spec.bos_id, adds_bos_by_default(spec))) {
    spec.prefix_ids = {*spec.bos_id};
  }
  if (read_add(metadata, "eos", spec.eos_id, false)) spec.suffix_ids = {*spec.eos_id};
  spec.add_space_prefix = find_bool(metadata, "tokenizer.ggml.add_space_prefix").value_or(!is_bpe);
  return spec;
}

}  // namespace prefold
