// Pipelines, texts and answers of tests/data/tokenizer/hf (made by
// scripts/make_hf_tokenizer_oracle.py, whose generator this repeats).
#pragma once

#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tokenizer/hf_tokenizer.h"

namespace prefold {

inline constexpr size_t kHfTexts = 5000;
inline constexpr size_t kHfDecoded = 500;

inline nlohmann::ordered_json read_hf(const std::string& name) {
  return nlohmann::ordered_json::parse(std::ifstream("tests/data/tokenizer/hf/" + name + ".json"));
}

// xorshift64*
class HfRandom {
 public:
  explicit HfRandom(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return (state_ * 0x2545f4914f6cdd1du) >> 33;
  }

 private:
  uint64_t state_;
};

using HfPools = std::vector<std::vector<std::string>>;

inline std::string make_hf_text(const HfPools& pools, HfRandom& random) {
  std::string text;
  for (uint64_t parts = 1 + random.next() % 5; parts > 0; --parts) {
    const std::vector<std::string>& pool = pools[random.next() % pools.size()];
    for (uint64_t pieces = 1 + random.next() % 4; pieces > 0; --pieces) {
      text += pool[random.next() % pool.size()];
    }
  }
  return text;
}

// A whole tokenizer.json of a pipeline: its model inside, added tokens with the next free ids,
// tokens named in the post-processor as ids. n_ids: how many there are.
inline nlohmann::ordered_json assemble_hf(const nlohmann::ordered_json& pipeline, int32_t& n_ids) {
  nlohmann::ordered_json model = read_hf("model_" + pipeline.at("model").get<std::string>());
  model.update(pipeline.at("overrides"));
  std::map<std::string, int32_t> ids;
  for (const auto& [key, value] : model.at("vocab").items()) {
    if (value.is_number()) {
      ids[key] = value.get<int32_t>();
    } else {
      ids[value[0].get<std::string>()] = std::stoi(key);
    }
  }
  n_ids = static_cast<int32_t>(ids.size());
  nlohmann::ordered_json tokens = pipeline.at("added_tokens");
  for (nlohmann::ordered_json& token : tokens) {
    const auto [known, is_new] = ids.emplace(token.at("content").get<std::string>(), n_ids);
    n_ids += is_new;
    token["id"] = known->second;
  }
  nlohmann::ordered_json post = pipeline.at("post_processor");
  const auto name_to_id = [&](nlohmann::ordered_json& id) {
    if (id.is_string()) id = ids.at(id.get<std::string>());
  };
  const auto resolve = [&](nlohmann::ordered_json& part) {
    if (part.contains("special_tokens")) {
      for (auto& [name, special] : part["special_tokens"].items()) {
        for (nlohmann::ordered_json& id : special["ids"]) name_to_id(id);
      }
    }
    for (const char* key : {"sep", "cls"}) {
      if (part.contains(key)) name_to_id(part[key][1]);
    }
  };
  if (post.is_object()) resolve(post);
  if (post.contains("processors")) {
    for (nlohmann::ordered_json& part : post["processors"]) resolve(part);
  }
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", tokens},
          {"normalizer", pipeline.at("normalizer")},
          {"pre_tokenizer", pipeline.at("pre_tokenizer")},
          {"post_processor", post},
          {"decoder", pipeline.at("decoder")},
          {"model", model}};
}

inline TokenizerSpec read_hf_spec(const nlohmann::ordered_json& tokenizer, int32_t n_rows,
                                  const std::string& config = "") {
  const std::string text = tokenizer.dump();
  return read_hf_tokenizer({"tokenizer.json", text, "tokenizer_config.json", config}, n_rows);
}

inline std::vector<uint16_t> read_hf_answers(const std::string& name) {
  std::ifstream file("tests/data/tokenizer/hf/" + name + ".bin", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<uint16_t> answers(bytes.size() / 2);
  for (size_t i = 0; i < answers.size(); ++i) {
    answers[i] = static_cast<uint16_t>(static_cast<uint8_t>(bytes[2 * i]) |
                                       static_cast<uint8_t>(bytes[2 * i + 1]) << 8);
  }
  return answers;
}

// FNV-1a of what is added, folded to 16 bits.
class HfHash {
 public:
  void add(std::string_view bytes) {
    for (const char byte : bytes) value_ = (value_ ^ static_cast<uint8_t>(byte)) * 0x100000001b3u;
  }
  void add(int32_t value) {
    for (int shift = 0; shift < 32; shift += 8) {
      const char byte = static_cast<char>(static_cast<uint32_t>(value) >> shift & 0xff);
      add(std::string_view(&byte, 1));
    }
  }
  uint16_t folded() const {
    return static_cast<uint16_t>(value_ ^ value_ >> 16 ^ value_ >> 32 ^ value_ >> 48);
  }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace prefold
