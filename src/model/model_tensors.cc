#include "model/model_tensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "model/gguf.h"

namespace prefold {
namespace {

class WantedList {
 public:
  WantedList(const ModelConfig& config, const std::function<void(WantedTensor)>& fn)
      : config_(config), fn_(fn) {}

  void all() {
    const int64_t hidden = config_.hidden_size, vocab = config_.vocab_size;
    add(kTokenEmbedding, {vocab, hidden});
    if (config_.has_position_embedding) {
      add(kPositionEmbedding, {config_.context_length, hidden});
    }
    for (layer_ = 0; layer_ < config_.n_layers; ++layer_) {
      attention();
      feed_forward();
    }
    // A model's norms have all weights or none, and all biases or none (olmo has neither).
    if (config_.norm_kind == NormKind::kLayer) {
      add(kOutputNorm, {hidden}, Presence::kAlike, "norm weight");
      add(kOutputNormBias, {hidden}, Presence::kAlike, "norm bias");
    } else {
      add(kOutputNorm, {hidden});
    }
    if (!config_.tied_embeddings) add(kOutput, {vocab, hidden});
    add(kOutputBias, {vocab}, Presence::kOptional);
  }

 private:
  void add(std::string_view name, std::vector<int64_t> shape,
           Presence presence = Presence::kRequired, std::string_view kind = "") {
    const bool is_plain = shape.size() == 1;
    fn_({std::string(name), std::move(shape), presence, std::string(kind), is_plain});
  }

  void linear(std::string_view part, int64_t n_out, int64_t n_in) {
    add(layer_tensor(layer_, part), {n_out, n_in});
    add(layer_tensor(layer_, part, "bias"), {n_out}, Presence::kAlike,
        fmt::format("{}.bias", part));
  }

  void norm(std::string_view part, int64_t n) {
    const std::string weight = layer_tensor(layer_, part);
    if (config_.norm_kind == NormKind::kRms) return add(weight, {n});
    add(weight, {n}, Presence::kAlike, "norm weight");
    add(layer_tensor(layer_, part, "bias"), {n}, Presence::kAlike, "norm bias");
  }

  // RMS norms, or layer norms with a bias (phi), or without one where each head has its own.
  void qk_norm(std::string_view part, int32_t n_heads) {
    if (config_.qk_norm == QkNorm::kEachHead) {
      return fn_(
          {layer_tensor(layer_, part), {n_heads, config_.head_dim}, Presence::kRequired, "", true});
    }
    const bool by_row = config_.qk_norm == QkNorm::kRow;
    const int64_t n = by_row ? int64_t{n_heads} * config_.head_dim : config_.head_dim;
    add(layer_tensor(layer_, part), {n});
    if (config_.norm_kind == NormKind::kRms) return;
    add(layer_tensor(layer_, part, "bias"), {n}, Presence::kAlike, "query and key norm bias");
  }

  void attention() {
    const int64_t hidden = config_.hidden_size;
    const int64_t q_size = int64_t{config_.n_heads} * config_.head_dim;
    const int64_t kv_size = int64_t{config_.n_kv_heads} * config_.head_dim;
    if (config_.has_pre_norm) norm("attn_norm", hidden);
    linear("attn_q", q_size, hidden);
    linear("attn_k", kv_size, hidden);
    linear("attn_v", kv_size, hidden);
    linear("attn_output", hidden, q_size);
    if (config_.qk_norm != QkNorm::kNone) {
      qk_norm("attn_q_norm", config_.n_heads);
      qk_norm("attn_k_norm", config_.n_kv_heads);
    }
    if (config_.has_post_norm) norm("post_attention_norm", hidden);
  }

  void feed_forward() {
    const int64_t hidden = config_.hidden_size, ffn = config_.ffn_size;
    const bool shares_norm = config_.is_parallel && !config_.has_parallel_norm;
    if (config_.has_pre_norm && !shares_norm) norm("ffn_norm", hidden);
    if (config_.layers[static_cast<size_t>(layer_)].is_moe) {
      experts();
    } else {
      if (config_.has_gate) linear("ffn_gate", ffn, hidden);
      linear("ffn_up", ffn, hidden);
      linear("ffn_down", hidden, ffn);
    }
    if (config_.has_post_norm) norm("post_ffw_norm", hidden);
  }

  void experts() {
    const MoeConfig& moe = config_.moe;
    const int64_t hidden = config_.hidden_size, ffn = moe.ffn_size, shared = moe.shared_ffn_size;
    add(layer_tensor(layer_, "ffn_gate_inp"), {moe.n_experts, hidden});
    for (int32_t expert = 0; expert < moe.n_experts; ++expert) {
      add(expert_tensor(layer_, "ffn_gate", expert), {ffn, hidden});
      add(expert_tensor(layer_, "ffn_up", expert), {ffn, hidden});
      add(expert_tensor(layer_, "ffn_down", expert), {hidden, ffn});
    }
    if (shared == 0) return;
    add(layer_tensor(layer_, "ffn_gate_shexp"), {shared, hidden});
    add(layer_tensor(layer_, "ffn_up_shexp"), {shared, hidden});
    add(layer_tensor(layer_, "ffn_down_shexp"), {hidden, shared});
    if (moe.has_shared_gate) add(layer_tensor(layer_, "ffn_gate_inp_shexp"), {1, hidden});
  }

  const ModelConfig& config_;
  const std::function<void(WantedTensor)>& fn_;
  int32_t layer_ = 0;
};

void check_tensor(std::string_view path, const StoredTensor& tensor, const WantedTensor& wanted) {
  if (tensor.shape != wanted.shape) {
    throw FormatError(fmt::format("{}: tensor \"{}\" has shape ({}); wanted ({})", path,
                                  tensor.name, fmt::join(tensor.shape, ", "),
                                  fmt::join(wanted.shape, ", ")));
  }
  const TensorTypeTraits& traits = traits_of(tensor.type);
  if (wanted.is_plain && traits.block_elements != 1) {
    throw FormatError(fmt::format("{}: tensor \"{}\" is of type {}; wanted F32, F16 or BF16", path,
                                  tensor.name, traits.name));
  }
}

[[noreturn]] void throw_missing(std::string_view path, const WantedTensor& wanted) {
  throw FormatError(fmt::format("{}: tensor \"{}\" of shape ({}) is missing", path, wanted.name,
                                fmt::join(wanted.shape, ", ")));
}

void check_nothing_left(std::string_view path, std::string_view architecture,
                        std::vector<std::string> unexpected) {
  if (unexpected.empty()) return;
  std::sort(unexpected.begin(), unexpected.end());
  const size_t n_shown = std::min<size_t>(unexpected.size(), 3);
  throw FormatError(
      fmt::format("{}: {} tensor{} with no place in a {} model: {}{}", path, unexpected.size(),
                  unexpected.size() == 1 ? "" : "s", architecture,
                  fmt::join(unexpected.begin(),
                            unexpected.begin() + static_cast<std::ptrdiff_t>(n_shown), ", "),
                  unexpected.size() > n_shown ? ", ..." : ""));
}

}  // namespace

std::string layer_tensor(int32_t layer, std::string_view part, std::string_view suffix) {
  return fmt::format("blk.{}.{}.{}", layer, part, suffix);
}

std::string expert_tensor(int32_t layer, std::string_view part, int32_t expert) {
  return fmt::format("blk.{}.{}.{}.weight", layer, part, expert);
}

const StoredTensor* find_tensor(const std::vector<StoredTensor>& tensors, std::string_view name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const StoredTensor& t) { return t.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

void for_each_wanted(const ModelConfig& config, const std::function<void(WantedTensor)>& fn) {
  WantedList(config, fn).all();
}

void check_model_tensors(std::string_view path, const ModelConfig& config,
                         const std::vector<StoredTensor>& tensors) {
  std::unordered_map<std::string_view, const StoredTensor*> unused;
  for (const StoredTensor& tensor : tensors) unused.emplace(tensor.name, &tensor);
  struct Alike {
    bool is_there = false;
    std::optional<WantedTensor> missing;
  };
  std::map<std::string, Alike> alike;
  for_each_wanted(config, [&](WantedTensor wanted) {
    const auto found = unused.find(wanted.name);
    const bool is_there = found != unused.end();
    if (is_there) {
      check_tensor(path, *found->second, wanted);
      unused.erase(found);
    } else if (wanted.presence == Presence::kRequired) {
      throw_missing(path, wanted);
    }
    if (wanted.presence != Presence::kAlike) return;
    Alike& kind = alike[wanted.kind];
    kind.is_there |= is_there;
    if (!is_there && !kind.missing) kind.missing = std::move(wanted);
  });
  for (const auto& [kind, state] : alike) {
    if (state.is_there && state.missing) throw_missing(path, *state.missing);
  }
  std::vector<std::string> unexpected;
  for (const auto& [name, tensor] : unused) unexpected.push_back(printable(name));
  check_nothing_left(path, config.architecture, std::move(unexpected));
}

}  // namespace prefold
