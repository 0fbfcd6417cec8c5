#include "model/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "model/gguf.h"

namespace prefold {
namespace {

void add_line(std::string& out, std::string_view name, std::string_view value) {
  fmt::format_to(std::back_inserter(out), "{:<14}{}\n", name, value);
}

std::string bytes_text(double n_bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  while (n_bytes >= 1024.0 && unit + 1 < std::size(kUnits)) n_bytes /= 1024.0, ++unit;
  return fmt::format("{:.{}f} {}", n_bytes, unit == 0 ? 0 : 1, kUnits[unit]);
}

std::string count_text(int64_t count) {
  if (count >= 1'000'000'000)
    return fmt::format("{:.2f} billion", static_cast<double>(count) / 1e9);
  if (count >= 1'000'000) return fmt::format("{:.1f} million", static_cast<double>(count) / 1e6);
  return std::to_string(count);
}

std::string rope_text(const RopeConfig& rope) {
  std::string text =
      fmt::format("theta {:g}, {} of each head's elements, {}", rope.theta, rope.rotary_dim,
                  rope.kind == RopeKind::kInterleaved ? "neighbouring pairs" : "half-apart pairs");
  switch (rope.scaling) {
    case RopeScaling::kNone:
      break;
    case RopeScaling::kLinear:
      text += fmt::format(", linear scaling by {:g}", rope.factor);
      break;
    case RopeScaling::kYarn:
      text += fmt::format(", YaRN scaling by {:g} from a context of {}", rope.factor,
                          rope.original_context);
      break;
    case RopeScaling::kLlama3:
      text += ", llama3 scaling (a factor for each frequency)";
      break;
    case RopeScaling::kDynamic:
      text += fmt::format(", dynamic scaling by {:g} beyond a context of {}", rope.factor,
                          rope.original_context);
      break;
    case RopeScaling::kLongRope:
      text +=
          fmt::format(", longrope (other factors beyond a context of {})", rope.original_context);
      break;
  }
  return text;
}

std::string experts_text(const ModelConfig& config) {
  const MoeConfig& moe = config.moe;
  const auto n_layers = std::count_if(config.layers.begin(), config.layers.end(),
                                      [](const LayerConfig& layer) { return layer.is_moe; });
  std::string text = fmt::format("{} of FFN size {} in {} layers, a token takes {}", moe.n_experts,
                                 moe.ffn_size, n_layers, moe.n_used);
  if (moe.shared_ffn_size > 0) text += fmt::format(", and a shared one of {}", moe.shared_ffn_size);
  return text;
}

// Empty if every layer sees all positions.
std::string windows_text(const ModelConfig& config) {
  int32_t n_layers = 0, window = 0;
  for (const LayerConfig& layer : config.layers) {
    if (layer.window == 0) continue;
    ++n_layers;
    window = layer.window;
  }
  return n_layers == 0 ? "" : fmt::format("{} tokens in {} layers", window, n_layers);
}

std::string types_text(const std::vector<TensorTypeUse>& types) {
  std::string text;
  for (const TensorTypeUse& use : types) {
    text += fmt::format("{}{} {} ({})", text.empty() ? "" : ", ", use.n_tensors,
                        traits_of(use.type).name, bytes_text(static_cast<double>(use.n_bytes)));
  }
  return text;
}

std::string special_token_text(const TokenizerSpec& spec) {
  std::string text;
  const auto add = [&](std::string_view name, std::optional<int32_t> id) {
    if (!id) return;
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", name, *id,
                        printable(spec.tokens[static_cast<size_t>(*id)]));
  };
  add("BOS", spec.bos_id);
  add("EOS", spec.eos_id);
  add("EOT", spec.eot_id);
  add("unknown", spec.unknown_id);
  add("pad", spec.pad_id);
  if (text.empty()) text = "none";
  const auto adds = [](const std::vector<int32_t>& ids, std::optional<int32_t> id) {
    return id && std::find(ids.begin(), ids.end(), *id) != ids.end() ? "yes" : "no";
  };
  return text + fmt::format("; adds BOS: {}, EOS: {}", adds(spec.prefix_ids, spec.bos_id),
                            adds(spec.suffix_ids, spec.eos_id));
}

std::string tokenizer_text(const TokenizerSpec& spec) {
  switch (spec.model) {
    case TokenizerModel::kSentencePieceBpe:
      return "SentencePiece";
    case TokenizerModel::kUnigram:
      return fmt::format("unigram, {} added tokens", spec.added_tokens.size());
    case TokenizerModel::kBpe:
      break;
  }
  if (spec.pre.empty()) {
    return fmt::format("BPE, {} merges, {} added tokens", spec.merges.size(),
                       spec.added_tokens.size());
  }
  return fmt::format("byte-level BPE, pre-tokenizer \"{}\", {} merges", printable(spec.pre),
                     spec.merges.size());
}

std::string template_text(const ModelFile& model) {
  std::string text;
  for (const NamedTemplate& named : model.chat_format.templates) {
    if (!text.empty()) text += "; ";
    if (named.name != "default") text += fmt::format("\"{}\": ", printable(named.name));
    text += fmt::format("{} bytes: {}", named.source.size(), printable(named.source));
  }
  return text.empty() ? "none" : text;
}

}  // namespace

ModelSummary summarise(const ModelFile& model) {
  ModelSummary summary;
  for (const StoredTensor& tensor : model.tensors) {
    auto use = std::find_if(summary.types.begin(), summary.types.end(),
                            [&](const TensorTypeUse& u) { return u.type == tensor.type; });
    if (use == summary.types.end()) use = summary.types.insert(use, {tensor.type, 0, 0});
    ++use->n_tensors;
    use->n_bytes += packed_bytes(tensor);
    summary.weight_bytes += packed_bytes(tensor);
  }
  std::stable_sort(summary.types.begin(), summary.types.end(),
                   [](const auto& a, const auto& b) { return a.n_bytes > b.n_bytes; });
  const ModelConfig& config = model.config;
  const int64_t kv_elements = 2 * int64_t{config.n_kv_heads} * config.head_dim;
  summary.kv_bytes_per_token = config.n_layers * kv_elements * static_cast<int64_t>(sizeof(float));
  summary.full_context_bytes = static_cast<int64_t>(summary.weight_bytes) +
                               summary.kv_bytes_per_token * config.context_length;
  return summary;
}

std::string render_inspection(const ModelFile& model) {
  const ModelSummary summary = summarise(model);
  const ModelConfig& config = model.config;
  std::string out;
  add_line(out, "file", model.path);
  add_line(out, "format", model.format);
  add_line(out, "architecture", config.architecture);
  if (!config.name.empty()) add_line(out, "name", printable(config.name));
  add_line(out, "parameters", count_text(n_parameters(model)));
  add_line(out, "layers", std::to_string(config.n_layers));
  add_line(
      out, "heads",
      fmt::format("{} ({} KV) of {} elements", config.n_heads, config.n_kv_heads, config.head_dim));
  add_line(out, "hidden size", std::to_string(config.hidden_size));
  add_line(out, "FFN size", std::to_string(config.ffn_size));
  if (config.moe.n_experts > 0) add_line(out, "experts", experts_text(config));
  if (const std::string text = windows_text(config); !text.empty()) add_line(out, "windows", text);
  add_line(out, "vocabulary",
           fmt::format("{}, output {}", config.vocab_size,
                       config.tied_embeddings ? "tied to the embedding" : "of its own"));
  add_line(out, "context", fmt::format("{} tokens", config.context_length));
  for (const RopeConfig& rope : config.ropes) add_line(out, "RoPE", rope_text(rope));
  add_line(out, "tensors", types_text(summary.types));
  add_line(out, "tokenizer", tokenizer_text(model.tokenizer));
  add_line(out, "special", special_token_text(model.tokenizer));
  add_line(out, "chat template", template_text(model));
  add_line(out, "weights", bytes_text(static_cast<double>(summary.weight_bytes)));
  add_line(
      out, "KV cache",
      fmt::format("{} a token (f32)", bytes_text(static_cast<double>(summary.kv_bytes_per_token))));
  add_line(out, "memory",
           fmt::format("{} for the weights and one full context",
                       bytes_text(static_cast<double>(summary.full_context_bytes))));
  return out;
}

}  // namespace prefold
