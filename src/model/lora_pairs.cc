#include "model/lora_pairs.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "model/gguf.h"

namespace prefold {
namespace {

constexpr LoraArchitecture kArchitectures[] = {{"cohere2", "cohere2"},
                                               {"command-r", "cohere"},
                                               {"gemma", "gemma"},
                                               {"gemma2", "gemma2"},
                                               {"gemma3", "gemma3_text"},
                                               {"gpt2", "gpt2"},
                                               {"gptneox", "gpt_neox"},
                                               {"granite", "granite", true},
                                               {"llama", "llama", true},
                                               {"llama", "mistral", true},
                                               {"llama", "ministral", true},
                                               {"llama", "mixtral", true},
                                               {"mistral3", "mistral", true},
                                               {"mistral3", "ministral", true},
                                               {"olmo", "olmo", true},
                                               {"olmo2", "olmo2"},
                                               {"olmoe", "olmoe"},
                                               {"phi2", "phi"},
                                               {"phi3", "phi3"},
                                               {"qwen2", "qwen2"},
                                               {"qwen2moe", "qwen2_moe"},
                                               {"qwen3", "qwen3"},
                                               {"qwen3moe", "qwen3_moe"},
                                               {"smollm3", "smollm3", true},
                                               {"stablelm", "stablelm"},
                                               {"starcoder2", "starcoder2"}};

constexpr std::string_view kSiteNames[kLoraSites] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                                     "ffn_gate", "ffn_up", "ffn_down"};

std::optional<LoraSite> site_of(std::string_view ours) {
  const auto found = std::find(std::begin(kSiteNames), std::end(kSiteNames), ours);
  if (found == std::end(kSiteNames)) return std::nullopt;
  return static_cast<LoraSite>(found - std::begin(kSiteNames));
}

// What is added to the residual stream is scaled where it is added; a change of it has the scale in
// itself.
double residual_scale(const ModelConfig& config, LoraSite site) {
  const bool is_added = site == LoraSite::kO || site == LoraSite::kDown;
  return is_added && !config.has_post_norm ? config.residual_scale : 1.0;
}

class PairAdder {
 public:
  PairAdder(const std::string& path, const ModelConfig& config, const LoraPlace& place,
            const StoredTensor& a, const StoredTensor& b, double scale,
            std::vector<LoraMatrix>& matrices)
      : path_(path),
        config_(config),
        place_(place),
        a_(a),
        b_(b),
        scale_(scale),
        matrices_(matrices) {}

  void add(HeadOrder order) {
    switch (place_.use) {
      case TensorUse::kPlain:
      case TensorUse::kConv1d: {
        const std::optional<LoraSite> site = site_of(place_.ours);
        if (!site)
          fail(
              "changes what adapters are not supported for: only the projections of "
              "attention and of feed-forward blocks without experts are");
        return add_rows({{*site}}, order);
      }
      case TensorUse::kQkv:
      case TensorUse::kQkvConv1d:
        return add_rows({LoraSite::kQ, LoraSite::kK, LoraSite::kV}, order);
      case TensorUse::kGateUp:
        return add_rows({LoraSite::kGate, LoraSite::kUp}, order);
      case TensorUse::kQkvByHead:
        return add_by_head();
      case TensorUse::kExpert:
      case TensorUse::kExpertsGateUp:
      case TensorUse::kExpertsDown:
        fail("changes experts, which is not supported");
      case TensorUse::kPostAttention:
      case TensorUse::kDropped:
        fail("is no matrix of the model");
    }
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw FormatError(fmt::format("{}: \"{}\" {}", path_, printable(place_.name), message));
  }

  LoraShape shape_of(LoraSite site) const {
    const LoraShape shape = lora_shape(config_, place_.layer, site);
    if (shape.n_out == 0) {
      fail(fmt::format("changes {} of layer {}, which this model has not", name_of(site),
                       place_.layer));
    }
    return shape;
  }

  void check_shapes(int64_t n_out, int64_t n_in) const {
    const int64_t rank = a_.shape.empty() ? 0 : a_.shape[0];
    if (rank < 1 || rank > kMaxLoraRank) {
      fail(fmt::format("has rank {}; wanted 1 to {}", rank, kMaxLoraRank));
    }
    if (a_.shape == std::vector<int64_t>{rank, n_in} &&
        b_.shape == std::vector<int64_t>{n_out, rank}) {
      return;
    }
    fail(fmt::format("has A of shape ({}) and B of shape ({}); wanted ({}, {}) and ({}, {})",
                     fmt::join(a_.shape, ", "), fmt::join(b_.shape, ", "), rank, n_in, n_out,
                     rank));
  }

  LoraMatrix& put(LoraSite site) {
    for (const LoraMatrix& other : matrices_) {
      if (other.layer == place_.layer && other.site == site) {
        fail(fmt::format("changes {} of layer {} once more", name_of(site), place_.layer));
      }
    }
    LoraMatrix matrix;
    matrix.layer = place_.layer;
    matrix.site = site;
    matrix.rank = static_cast<int32_t>(a_.shape[0]);
    matrix.scale = static_cast<float>(scale_ * residual_scale(config_, site));
    if (!std::isfinite(matrix.scale)) fail(fmt::format("has scale {}", scale_));
    matrix.a = a_;
    matrix.b = b_;
    matrices_.push_back(std::move(matrix));
    return matrices_.back();
  }

  // Outputs one site after another.
  void add_rows(std::initializer_list<LoraSite> sites, HeadOrder order) {
    int64_t n_out = 0;
    for (const LoraSite site : sites) n_out += shape_of(site).n_out;
    check_shapes(n_out, shape_of(*sites.begin()).n_in);
    int64_t first_row = 0;
    for (const LoraSite site : sites) {
      LoraMatrix& matrix = put(site);
      matrix.first_row = first_row;
      matrix.run_rows = matrix.stride_rows = shape_of(site).n_out;
      if (site == LoraSite::kQ || site == LoraSite::kK) matrix.order = order;
      first_row += matrix.run_rows;
    }
  }

  // Of each head: its q, k and v.
  void add_by_head() {
    const LoraShape shape = shape_of(LoraSite::kQ);
    check_shapes(3 * int64_t{shape.n_out}, shape.n_in);
    int64_t first_row = 0;
    for (const LoraSite site : {LoraSite::kQ, LoraSite::kK, LoraSite::kV}) {
      LoraMatrix& matrix = put(site);
      matrix.first_row = first_row;
      matrix.run_rows = config_.head_dim;
      matrix.stride_rows = 3 * int64_t{config_.head_dim};
      first_row += config_.head_dim;
    }
  }

  const std::string& path_;
  const ModelConfig& config_;
  const LoraPlace& place_;
  const StoredTensor& a_;
  const StoredTensor& b_;
  double scale_;
  std::vector<LoraMatrix>& matrices_;
};

}  // namespace

std::string_view name_of(LoraSite site) { return kSiteNames[static_cast<size_t>(site)]; }

LoraShape lora_shape(const ModelConfig& config, int32_t layer, LoraSite site) {
  const int32_t q = config.n_heads * config.head_dim, kv = config.n_kv_heads * config.head_dim;
  const bool has_ffn = !config.layers[static_cast<size_t>(layer)].is_moe;
  switch (site) {
    case LoraSite::kQ:
      return {q, config.hidden_size};
    case LoraSite::kK:
    case LoraSite::kV:
      return {kv, config.hidden_size};
    case LoraSite::kO:
      return {config.hidden_size, q};
    case LoraSite::kGate:
      return has_ffn && config.has_gate ? LoraShape{config.ffn_size, config.hidden_size}
                                        : LoraShape{};
    case LoraSite::kUp:
      return has_ffn ? LoraShape{config.ffn_size, config.hidden_size} : LoraShape{};
    case LoraSite::kDown:
      return has_ffn ? LoraShape{config.hidden_size, config.ffn_size} : LoraShape{};
  }
  return {};
}

const LoraArchitecture* find_gguf_lora_architecture(std::string_view gguf) {
  const auto found = std::find_if(std::begin(kArchitectures), std::end(kArchitectures),
                                  [&](const LoraArchitecture& it) { return it.gguf == gguf; });
  return found == std::end(kArchitectures) ? nullptr : &*found;
}

bool is_same_architecture(std::string_view gguf, std::string_view hf) {
  return std::any_of(std::begin(kArchitectures), std::end(kArchitectures),
                     [&](const LoraArchitecture& it) { return it.gguf == gguf && it.hf == hf; });
}

void add_lora_pair(const std::string& path, const ModelConfig& config, const LoraPlace& place,
                   const StoredTensor& a, const StoredTensor& b, double scale, HeadOrder order,
                   std::vector<LoraMatrix>& matrices) {
  PairAdder(path, config, place, a, b, scale, matrices).add(order);
}

}  // namespace prefold
