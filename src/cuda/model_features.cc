#include "cuda/model_features.h"

#include <algorithm>

namespace prefold::cuda {

std::vector<std::string> missing_features(const ModelConfig& config) {
  const auto any_layer = [&](auto has) {
    return std::any_of(config.layers.begin(), config.layers.end(), has);
  };
  std::vector<std::string> missing;
  const auto need = [&](bool needed, const char* name) {
    if (needed) missing.emplace_back(name);
  };
  need(config.norm_kind == NormKind::kLayer, "layer norms");
  need(!config.has_pre_norm || config.has_post_norm, "norms behind a block");
  need(config.is_parallel, "parallel blocks");
  need(config.qk_norm != QkNorm::kNone, "norms of queries and keys");
  need(config.qkv_clip > 0.0f, "clamped queries, keys and values");
  need(config.activation != Activation::kSilu || !config.has_gate,
       "another activation than SwiGLU");
  need(config.moe.n_experts > 0, "experts");
  need(any_layer([](const LayerConfig& layer) { return layer.window > 0; }), "sliding windows");
  need(config.ropes.size() != 1 ||
           any_layer([](const LayerConfig& layer) { return layer.rope_idx != 0; }),
       "layers that differ in their rotary embedding or have none");
  need(std::any_of(config.ropes.begin(), config.ropes.end(),
                   [](const RopeConfig& rope) {
                     return rope.scaling == RopeScaling::kDynamic ||
                            rope.scaling == RopeScaling::kLongRope;
                   }),
       "rotary scaling that depends on --max-model-len");
  need(config.has_position_embedding, "learned positions");
  need(config.attention_softcap != 0.0f, "soft-capped attention");
  need(config.embedding_scale != 1.0f, "scaled embeddings");
  need(config.residual_scale != 1.0f, "scaled residuals");
  need(config.logit_scale != 1.0f || config.logit_softcap != 0.0f, "scaled or capped logits");
  return missing;
}

}  // namespace prefold::cuda
