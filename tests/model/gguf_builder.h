// Writes GGUF files for tests, valid or faulty in one chosen place.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/tensor_type.h"
#include "model/gguf.h"

namespace prefold {

template <typename T>
std::string bytes_of_value(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

inline std::string gguf_string(std::string_view text) {
  return bytes_of_value<uint64_t>(text.size()) + std::string(text);
}

class GgufBuilder {
 public:
  uint32_t version = 3;
  uint64_t alignment = 32;

  // Each setter replaces the key's value, or appends the key.
  void set_u32(std::string_view key, uint32_t v) { set(key, GgufType::kUint32, bytes_of_value(v)); }
  void set_f32(std::string_view key, float v) { set(key, GgufType::kFloat32, bytes_of_value(v)); }
  void set_bool(std::string_view key, bool v) { set(key, GgufType::kBool, bytes_of_value(v)); }
  void set_string(std::string_view key, std::string_view v) {
    set(key, GgufType::kString, gguf_string(v));
  }
  void set_strings(std::string_view key, const std::vector<std::string>& values) {
    std::string bytes;
    for (const std::string& value : values) bytes += gguf_string(value);
    set_array(key, GgufType::kString, values.size(), bytes);
  }
  template <typename T>
  void set_numbers(std::string_view key, GgufType type, const std::vector<T>& values) {
    std::string bytes;
    for (const T value : values) bytes += bytes_of_value(value);
    set_array(key, type, values.size(), bytes);
  }
  void set_array(std::string_view key, GgufType type, uint64_t count, const std::string& bytes) {
    set(key, GgufType::kArray,
        bytes_of_value(static_cast<uint32_t>(type)) + bytes_of_value(count) + bytes);
  }
  void set(std::string_view key, GgufType type, std::string bytes) {
    const auto found = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const Entry& e) { return e.key == key; });
    if (found == entries_.end()) {
      entries_.push_back({std::string(key), static_cast<uint32_t>(type), std::move(bytes)});
    } else {
      *found = {std::string(key), static_cast<uint32_t>(type), std::move(bytes)};
    }
  }
  void append_again(std::string_view key) {
    for (size_t i = 0, n = entries_.size(); i < n; ++i) {
      if (entries_[i].key == key) entries_.push_back(entries_[i]);
    }
  }
  void remove(std::string_view key) {
    std::erase_if(entries_, [&](const Entry& e) { return e.key == key; });
  }

  // Outermost dimension first. Content: bytes that count up, or as given.
  struct Tensor {
    std::string name;
    std::vector<uint64_t> shape;
    uint32_t type = 0;
    std::string bytes;
    uint64_t offset = ~uint64_t{0};  // default: after the tensor before
  };
  Tensor& add_tensor(std::string_view name, const std::vector<uint64_t>& shape, TensorType type) {
    int64_t n_elements = 1;
    for (const uint64_t size : shape) n_elements *= static_cast<int64_t>(size);
    std::string bytes(static_cast<size_t>(stored_bytes(traits_of(type), n_elements)), '\0');
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i % 61);
    tensors_.push_back({std::string(name), shape, static_cast<uint32_t>(type), bytes});
    return tensors_.back();
  }
  Tensor& tensor(std::string_view name) {
    return *std::find_if(tensors_.begin(), tensors_.end(),
                         [&](const Tensor& t) { return t.name == name; });
  }
  void remove_tensor(std::string_view name) {
    std::erase_if(tensors_, [&](const Tensor& t) { return t.name == name; });
  }

  std::string build() const {
    std::string out = "GGUF" + bytes_of_value(version) + bytes_of_value<uint64_t>(tensors_.size()) +
                      bytes_of_value<uint64_t>(entries_.size());
    for (const Entry& e : entries_) out += gguf_string(e.key) + bytes_of_value(e.type) + e.bytes;
    std::string data;
    for (const Tensor& t : tensors_) {
      data.resize((data.size() + alignment - 1) / alignment * alignment);
      out += gguf_string(t.name) + bytes_of_value(static_cast<uint32_t>(t.shape.size()));
      for (size_t i = t.shape.size(); i-- > 0;) out += bytes_of_value(t.shape[i]);
      out += bytes_of_value(t.type);
      out += bytes_of_value<uint64_t>(t.offset == ~uint64_t{0} ? data.size() : t.offset);
      data += t.bytes;
    }
    out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out + data;
  }

 private:
  struct Entry {
    std::string key;
    uint32_t type;
    std::string bytes;
  };
  std::vector<Entry> entries_;
  std::vector<Tensor> tensors_;
};

// One layer, hidden size 32, 4 heads over 2 KV heads, FFN 64, 8 tokens, tied embeddings.
inline GgufBuilder tiny_llama() {
  GgufBuilder b;
  b.set_string("general.architecture", "llama");
  b.set_u32("llama.block_count", 1);
  b.set_u32("llama.context_length", 64);
  b.set_u32("llama.embedding_length", 32);
  b.set_u32("llama.feed_forward_length", 64);
  b.set_u32("llama.attention.head_count", 4);
  b.set_u32("llama.attention.head_count_kv", 2);
  b.set_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  b.set_string("tokenizer.ggml.model", "gpt2");
  b.set_string("tokenizer.ggml.pre", "gpt-2");
  b.set_strings("tokenizer.ggml.tokens", {"<s>", "</s>", "a", "b", "c", "d", "ab", "cd"});
  b.set_numbers<int32_t>("tokenizer.ggml.token_type", GgufType::kInt32, {3, 3, 1, 1, 1, 1, 1, 1});
  b.set_strings("tokenizer.ggml.merges", {"a b", "c d"});
  b.set_u32("tokenizer.ggml.eos_token_id", 1);
  b.add_tensor("token_embd.weight", {8, 32}, TensorType::kQ8_0);
  b.add_tensor("blk.0.attn_norm.weight", {32}, TensorType::kF32);
  b.add_tensor("blk.0.attn_q.weight", {32, 32}, TensorType::kQ4_0);
  b.add_tensor("blk.0.attn_k.weight", {16, 32}, TensorType::kQ4_1);
  b.add_tensor("blk.0.attn_v.weight", {16, 32}, TensorType::kQ5_0);
  b.add_tensor("blk.0.attn_output.weight", {32, 32}, TensorType::kQ5_1);
  b.add_tensor("blk.0.ffn_norm.weight", {32}, TensorType::kF32);
  b.add_tensor("blk.0.ffn_gate.weight", {64, 32}, TensorType::kF16);
  b.add_tensor("blk.0.ffn_up.weight", {64, 32}, TensorType::kBF16);
  b.add_tensor("blk.0.ffn_down.weight", {32, 64}, TensorType::kF32);
  b.add_tensor("output_norm.weight", {32}, TensorType::kF32);
  return b;
}

}  // namespace prefold
