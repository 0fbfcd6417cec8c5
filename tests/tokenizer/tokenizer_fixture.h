// Vocabularies and oracle results of tests/data/tokenizer (made by
// scripts/make_tokenizer_oracle.py).
#pragma once

#include <array>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace prefold {

inline constexpr std::array<const char*, 4> kByteLevelFamilies = {"gpt-2", "smollm", "llama-bpe",
                                                                  "qwen2"};
inline constexpr std::array<const char*, 2> kLlamaFamilies = {"llama", "llama_no_bytes"};
inline constexpr std::array<const char*, 6> kFamilies = {"gpt-2", "smollm", "llama-bpe",
                                                         "qwen2", "llama",  "llama_no_bytes"};

inline nlohmann::json read_fixture(const std::string& name) {
  return nlohmann::json::parse(std::ifstream("tests/data/tokenizer/" + name + ".json"));
}

inline std::vector<std::string> read_corpus() {
  return read_fixture("corpus").get<std::vector<std::string>>();
}

inline TokenizerSpec spec_from_json(const nlohmann::json& json) {
  static const std::map<std::string, TokenKind> kKinds = {
      {"normal", TokenKind::kNormal},   {"unknown", TokenKind::kUnknown},
      {"control", TokenKind::kControl}, {"user", TokenKind::kUserDefined},
      {"unused", TokenKind::kUnused},   {"byte", TokenKind::kByte}};
  TokenizerSpec spec;
  const bool llama = json.at("model") == "llama";
  spec.model = llama ? TokenizerModel::kSentencePieceBpe : TokenizerModel::kBpe;
  spec.tokens = json.at("tokens").get<std::vector<std::string>>();
  for (const std::string kind : json.at("kinds")) spec.kinds.push_back(kKinds.at(kind));
  if (!llama) {
    spec.pre = json.at("pre");
    for (const std::string line : json.at("merges")) {
      const size_t space = line.find(' ', 1);
      spec.merges.emplace_back(line.substr(0, space), line.substr(space + 1));
    }
    return spec;
  }
  spec.scores = json.at("scores").get<std::vector<double>>();
  spec.unknown_id = json.at("unknown_id").get<int32_t>();
  spec.bos_id = json.at("bos_id").get<int32_t>();
  spec.eos_id = json.at("eos_id").get<int32_t>();
  spec.add_space_prefix = json.at("add_space_prefix");
  return spec;
}

inline TokenizerSpec read_spec(const std::string& family) {
  return spec_from_json(read_fixture(family).at("spec"));
}

}  // namespace prefold
