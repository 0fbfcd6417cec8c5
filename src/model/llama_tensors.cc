#include "model/llama_tensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <unordered_map>

#include "base/error.h"

namespace prefold {
namespace {

enum class Presence { kRequired, kOptional };

struct WantedTensor {
  std::string name;
  std::vector<int64_t> shape;
  Presence presence = Presence::kRequired;
};

void want_linear(std::vector<WantedTensor>& wanted, int32_t layer, std::string_view part,
                 int64_t n_out, int64_t n_in, bool may_have_bias) {
  wanted.push_back({layer_tensor(layer, part), {n_out, n_in}});
  if (!may_have_bias) return;
  wanted.push_back({layer_tensor(layer, part, "bias"), {n_out}, Presence::kOptional});
}

std::vector<WantedTensor> wanted_tensors(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size, ffn = config.ffn_size, vocab = config.vocab_size;
  const int64_t q_size = int64_t{config.n_heads} * config.head_dim;
  const int64_t kv_size = int64_t{config.n_kv_heads} * config.head_dim;
  std::vector<WantedTensor> wanted;
  wanted.push_back({std::string(kTokenEmbedding), {vocab, hidden}});
  for (int32_t layer = 0; layer < config.n_layers; ++layer) {
    wanted.push_back({layer_tensor(layer, "attn_norm"), {hidden}});
    want_linear(wanted, layer, "attn_q", q_size, hidden, true);
    want_linear(wanted, layer, "attn_k", kv_size, hidden, true);
    want_linear(wanted, layer, "attn_v", kv_size, hidden, true);
    want_linear(wanted, layer, "attn_output", hidden, q_size, true);
    wanted.push_back({layer_tensor(layer, "ffn_norm"), {hidden}});
    want_linear(wanted, layer, "ffn_gate", ffn, hidden, false);
    want_linear(wanted, layer, "ffn_up", ffn, hidden, false);
    want_linear(wanted, layer, "ffn_down", hidden, ffn, false);
  }
  wanted.push_back({std::string(kOutputNorm), {hidden}});
  wanted.push_back({std::string(kOutput), {vocab, hidden}, Presence::kOptional});
  wanted.push_back({std::string(kRopeFactors), {config.rope.rotary_dim / 2}, Presence::kOptional});
  return wanted;
}

void check_tensor(std::string_view path, const StoredTensor& tensor, const WantedTensor& wanted) {
  if (tensor.shape != wanted.shape) {
    throw FormatError(fmt::format("{}: tensor \"{}\" has shape ({}); wanted ({})", path,
                                  tensor.name, fmt::join(tensor.shape, ", "),
                                  fmt::join(wanted.shape, ", ")));
  }
  const TensorTypeTraits& traits = traits_of(tensor.type);
  if (wanted.shape.size() == 1 && traits.block_elements != 1) {
    throw FormatError(fmt::format("{}: tensor \"{}\" is of type {}; wanted F32, F16 or BF16", path,
                                  tensor.name, traits.name));
  }
}

// Older converters stored the rotary frequencies, which follow from the metadata.
bool is_harmless(std::string_view name) {
  return name.ends_with(".attn_rot_embd.weight") || name.ends_with(".rotary_emb.inv_freq");
}

}  // namespace

std::string layer_tensor(int32_t layer, std::string_view part, std::string_view suffix) {
  return fmt::format("blk.{}.{}.{}", layer, part, suffix);
}

const StoredTensor* find_tensor(const std::vector<StoredTensor>& tensors, std::string_view name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const StoredTensor& t) { return t.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

void check_llama_tensors(std::string_view path, const ModelConfig& config,
                         const std::vector<StoredTensor>& tensors) {
  std::unordered_map<std::string_view, const StoredTensor*> unused;
  for (const StoredTensor& tensor : tensors) unused.emplace(tensor.name, &tensor);
  for (const WantedTensor& wanted : wanted_tensors(config)) {
    const auto found = unused.find(wanted.name);
    if (found != unused.end()) {
      check_tensor(path, *found->second, wanted);
      unused.erase(found);
    } else if (wanted.presence == Presence::kRequired) {
      throw FormatError(fmt::format("{}: tensor \"{}\" of shape ({}) is missing", path, wanted.name,
                                    fmt::join(wanted.shape, ", ")));
    }
  }
  std::vector<std::string> unexpected;
  for (const auto& [name, tensor] : unused) {
    if (!is_harmless(name)) unexpected.push_back(printable(name));
  }
  if (unexpected.empty()) return;
  std::sort(unexpected.begin(), unexpected.end());
  const size_t n_shown = std::min<size_t>(unexpected.size(), 3);
  throw FormatError(
      fmt::format("{}: {} tensor{} with no place in a {} model: {}{}", path, unexpected.size(),
                  unexpected.size() == 1 ? "" : "s", config.architecture,
                  fmt::join(unexpected.begin(),
                            unexpected.begin() + static_cast<std::ptrdiff_t>(n_shown), ", "),
                  unexpected.size() > n_shown ? ", ..." : ""));
}

}  // namespace prefold
