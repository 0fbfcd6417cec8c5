#include "model/lora_gguf.h"

#include <map>
#include <utility>

#include "base/error.h"
#include "model/gguf.h"
#include "model/gguf_metadata.h"
#include "model/lora_pairs.h"
#include "model/model_file.h"

namespace prefold {
namespace {

struct Pair {
  const StoredTensor* a = nullptr;
  const StoredTensor* b = nullptr;
};

void expect(const GgufMetadata& metadata, std::string_view key, std::string_view wanted) {
  const auto value = find_string(metadata, key);
  if (value == wanted) return;
  throw FormatError(fmt::format("{}: \"{}\" is {}; wanted \"{}\"", metadata.path, key,
                                value ? fmt::format("\"{}\"", printable(*value)) : "missing",
                                wanted));
}

// Throws unless the adapter is for such a model; the order of its query and key rows in ours.
HeadOrder check_architecture(const GgufMetadata& metadata, const ModelFile& model) {
  const std::string& ours = model.config.architecture;
  const std::string theirs(find_string(metadata, "general.architecture").value_or(""));
  if (is_gguf(model.files[0].bytes())) {
    if (theirs == ours) return HeadOrder::kSame;
  } else if (is_same_architecture(theirs, ours)) {
    const bool permutes = find_gguf_lora_architecture(theirs)->permutes;
    return permutes ? HeadOrder::kPairsToHalves : HeadOrder::kSame;
  }
  throw FormatError(
      fmt::format("{}: is an adapter for models of architecture \"{}\"; {} is of \"{}\"",
                  metadata.path, printable(theirs), model.path, ours));
}

std::map<std::string, Pair> pairs_of(const std::string& path,
                                     const std::vector<StoredTensor>& tensors) {
  std::map<std::string, Pair> pairs;
  for (const StoredTensor& tensor : tensors) {
    const std::string_view name = tensor.name;
    const bool is_a = name.ends_with(".lora_a");
    if (!is_a && !name.ends_with(".lora_b")) {
      throw FormatError(fmt::format("{}: tensor \"{}\" is neither a \".lora_a\" nor a \".lora_b\"",
                                    path, printable(name)));
    }
    Pair& pair = pairs[std::string(name.substr(0, name.size() - 7))];
    (is_a ? pair.a : pair.b) = &tensor;
  }
  return pairs;
}

// "blk.3.attn_q.weight"; `outputs`: rows of B.
LoraPlace place_of(const std::string& path, const std::string& name, int64_t n_outputs,
                   const ModelConfig& config) {
  LoraPlace place{name};
  std::string_view rest = name;
  const auto fail = [&] {
    throw FormatError(fmt::format("{}: \"{}\" has no place in a {} model of {} layers", path,
                                  printable(name), config.architecture, config.n_layers));
  };
  if (rest == "token_embd.weight" || rest == "output.weight") {
    throw FormatError(fmt::format(
        "{}: changes \"{}\"; adapters of embeddings and of the LM head are not supported", path,
        name));
  }
  if (!rest.starts_with("blk.") || !rest.ends_with(".weight")) fail();
  rest.remove_prefix(4);
  place.layer = take_number(rest);
  if (place.layer < 0 || place.layer >= config.n_layers) fail();
  rest.remove_suffix(std::string_view(".weight").size());
  place.ours = rest;
  if (rest == "attn_qkv") place.use = TensorUse::kQkv;
  if (rest == "ffn_up" && config.has_gate && n_outputs == 2 * int64_t{config.ffn_size}) {
    place.use = TensorUse::kGateUp;
  }
  if (rest.ends_with("_exps")) place.use = TensorUse::kExpert;
  return place;
}

}  // namespace

LoraFile open_gguf_lora(MappedFile file, const ModelFile& model) {
  LoraFile lora;
  lora.path = file.path();
  lora.files.push_back(std::move(file));
  const Gguf gguf = parse_gguf(lora.path, lora.files[0].bytes());
  lora.format = fmt::format("GGUF v{}", gguf.version);
  const GgufMetadata metadata{lora.path, &gguf.metadata};
  expect(metadata, "general.type", "adapter");
  expect(metadata, "adapter.type", "lora");
  if (find_array(metadata, "adapter.alora.invocation_tokens",
                 {GgufType::kUint32, GgufType::kInt32}) != nullptr) {
    throw FormatError(
        fmt::format("{}: has \"adapter.alora.invocation_tokens\": adapters that begin "
                    "to work at certain tokens are not supported",
                    lora.path));
  }
  const HeadOrder order = check_architecture(metadata, model);
  const std::optional<double> alpha = find_number(metadata, "adapter.lora.alpha", -1e6, 1e6);
  if (!alpha) throw FormatError(fmt::format("{}: \"adapter.lora.alpha\" is missing", lora.path));
  for (const auto& [name, pair] : pairs_of(lora.path, gguf.tensors)) {
    if (pair.a == nullptr || pair.b == nullptr) {
      throw FormatError(fmt::format("{}: \"{}\" has no \".lora_{}\"", lora.path, printable(name),
                                    pair.a == nullptr ? 'a' : 'b'));
    }
    const int64_t n_outputs = pair.b->shape.empty() ? 0 : pair.b->shape[0];
    const int64_t rank = pair.a->shape.empty() ? 0 : pair.a->shape[0];
    const double scale = *alpha == 0.0 || rank < 1 ? 1.0 : *alpha / static_cast<double>(rank);
    add_lora_pair(lora.path, model.config, place_of(lora.path, name, n_outputs, model.config),
                  *pair.a, *pair.b, scale, order, lora.matrices);
  }
  if (lora.matrices.empty()) throw FormatError(fmt::format("{}: has no tensors", lora.path));
  return lora;
}

}  // namespace prefold
