#include "model/model_limits.h"

#include <algorithm>

#include "base/check.h"
#include "base/error.h"
#include "ops/moe.h"

namespace prefold {
namespace {

void check_rope(std::string_view path, const ModelConfig& config, const RopeConfig& rope) {
  if (rope.rotary_dim < 2 || rope.rotary_dim % 2 != 0 || rope.rotary_dim > config.head_dim) {
    throw FormatError(
        fmt::format("{}: {} elements of each head are rotated; wanted an even number from 2 to the "
                    "head's {}",
                    path, rope.rotary_dim, config.head_dim));
  }
  const size_t n_pairs = static_cast<size_t>(rope.rotary_dim) / 2;
  for (const auto* factors : {&rope.frequency_factors, &rope.long_frequency_factors}) {
    if (!factors->empty() && factors->size() != n_pairs) {
      throw FormatError(fmt::format("{}: {} factors for the rotary frequencies; wanted {}", path,
                                    factors->size(), n_pairs));
    }
    for (const float factor : *factors) {
      if (factor >= 1e-6f && factor <= 1e6f) continue;
      throw FormatError(fmt::format(
          "{}: a factor of the rotary frequencies is {}; wanted numbers from 1e-6 to 1e6", path,
          factor));
    }
  }
}

}  // namespace

void check_config(std::string_view path, const ModelConfig& config) {
  if (config.n_heads % config.n_kv_heads != 0) {
    throw FormatError(fmt::format("{}: {} attention heads cannot share {} KV heads evenly", path,
                                  config.n_heads, config.n_kv_heads));
  }
  if (config.head_dim < 2 || config.head_dim % 2 != 0 || config.head_dim > kMaxHeadDim) {
    throw FormatError(
        fmt::format("{}: attention heads have {} elements; wanted an even number up to {}", path,
                    config.head_dim, kMaxHeadDim));
  }
  const MoeConfig& moe = config.moe;
  const int32_t most_used = std::min(moe.n_experts, kMaxUsedExperts);
  if (moe.n_experts > 0 && (moe.n_used < 1 || moe.n_used > most_used)) {
    throw FormatError(fmt::format("{}: a row takes {} of {} experts; wanted from 1 to {}", path,
                                  moe.n_used, moe.n_experts, most_used));
  }
  for (const RopeConfig& rope : config.ropes) check_rope(path, config, rope);
  CHECK(config.layers.size() == static_cast<size_t>(config.n_layers));
  for (const LayerConfig& layer : config.layers) {
    CHECK(layer.rope_idx < static_cast<int32_t>(config.ropes.size()));
    CHECK(!layer.is_moe || moe.n_experts > 0);
  }
}

}  // namespace prefold
