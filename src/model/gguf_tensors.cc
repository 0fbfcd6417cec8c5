#include "model/gguf_tensors.h"

#include <fmt/ranges.h>

#include <charconv>

#include "base/error.h"
#include "model/gguf.h"
#include "model/model_tensors.h"

namespace prefold {
namespace {

// "blk.3.attn_qkv.weight": layer 3, part "attn_qkv", suffix "weight".
struct LayerName {
  int32_t layer = -1;
  std::string_view part, suffix;
};
LayerName split_name(std::string_view name) {
  LayerName result;
  if (!name.starts_with("blk.")) return result;
  name.remove_prefix(4);
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), result.layer);
  if (error != std::errc() || end == name.data() + name.size() || *end != '.') return {};
  name.remove_prefix(static_cast<size_t>(end - name.data()) + 1);
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  result.part = name.substr(0, dot);
  result.suffix = name.substr(dot + 1);
  return result;
}

class Cutter {
 public:
  Cutter(const std::string& path, const ModelConfig& config) : path_(path), config_(config) {}

  void add(StoredTensor tensor) {
    const std::string name = tensor.name;
    const LayerName at = split_name(name);
    const int64_t q = int64_t{config_.n_heads} * config_.head_dim;
    const int64_t kv = int64_t{config_.n_kv_heads} * config_.head_dim;
    const bool fused_gate = config_.has_gate && at.part == "ffn_up" && !tensor.shape.empty() &&
                            tensor.shape[0] == 2 * int64_t{config_.ffn_size};
    if (at.part == "attn_qkv") {
      check_rows(tensor, q + 2 * kv);
      put(at, "attn_q", rows(tensor, 0, q));
      put(at, "attn_k", rows(tensor, q, kv));
      put(at, "attn_v", rows(tensor, q + kv, kv));
    } else if (fused_gate) {
      put(at, "ffn_gate", rows(tensor, 0, config_.ffn_size));
      put(at, "ffn_up", rows(tensor, config_.ffn_size, config_.ffn_size));
    } else if (at.part == "ffn_gate_exps" || at.part == "ffn_up_exps" ||
               at.part == "ffn_down_exps") {
      cut_experts(at, tensor);
    } else if (at.part == "ffn_gate_inp_shexp" && tensor.shape.size() == 1) {
      tensor.shape.insert(tensor.shape.begin(), 1);
      tensors_.push_back(std::move(tensor));
    } else {
      tensors_.push_back(std::move(tensor));
    }
  }

  std::vector<StoredTensor> finish() && { return std::move(tensors_); }

 private:
  void check_rows(const StoredTensor& tensor, int64_t n_wanted) const {
    if (tensor.shape[0] == n_wanted) return;
    throw FormatError(fmt::format("{}: tensor \"{}\" has shape ({}); wanted {} outputs", path_,
                                  printable(tensor.name), fmt::join(tensor.shape, ", "), n_wanted));
  }

  void put(const LayerName& at, std::string_view part, StoredTensor tensor) {
    tensor.name = layer_tensor(at.layer, part, at.suffix);
    tensors_.push_back(std::move(tensor));
  }

  // Rows are whole blocks of quants: so gguf.h promises.
  static StoredTensor rows(StoredTensor tensor, int64_t first, int64_t n) {
    const size_t row_bytes = tensor.n_bytes / static_cast<size_t>(tensor.shape[0]);
    tensor.offset += static_cast<size_t>(first) * row_bytes;
    tensor.n_bytes = static_cast<size_t>(n) * row_bytes;
    tensor.shape[0] = n;
    return tensor;
  }

  void cut_experts(const LayerName& at, const StoredTensor& tensor) {
    if (tensor.shape.size() != 3 || tensor.shape[0] != config_.moe.n_experts ||
        at.suffix != "weight") {
      throw FormatError(fmt::format("{}: tensor \"{}\" has shape ({}); wanted ({}, ..., ...)",
                                    path_, printable(tensor.name), fmt::join(tensor.shape, ", "),
                                    config_.moe.n_experts));
    }
    const std::string_view part =
        at.part.substr(0, at.part.size() - std::string_view("_exps").size());
    for (int32_t expert = 0; expert < config_.moe.n_experts; ++expert) {
      StoredTensor one = rows(tensor, expert, 1);
      one.shape.erase(one.shape.begin());
      one.name = expert_tensor(at.layer, part, expert);
      tensors_.push_back(std::move(one));
    }
  }

  const std::string& path_;
  const ModelConfig& config_;
  std::vector<StoredTensor> tensors_;
};

// Older converters stored the rotary frequencies, which follow from the metadata.
bool is_no_weight(std::string_view name) {
  return name == kRopeFactors || name == kShortRopeFactors || name == kLongRopeFactors ||
         name.ends_with(".attn_rot_embd.weight") || name.ends_with(".rotary_emb.inv_freq");
}

}  // namespace

std::vector<StoredTensor> cut_gguf_tensors(const std::string& path, const ModelConfig& config,
                                           std::vector<StoredTensor> tensors) {
  Cutter cutter(path, config);
  for (StoredTensor& tensor : tensors) {
    if (!is_no_weight(tensor.name)) cutter.add(std::move(tensor));
  }
  return std::move(cutter).finish();
}

}  // namespace prefold
