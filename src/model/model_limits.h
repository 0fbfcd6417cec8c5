// What a model's sizes may be, whatever the format of its file: generous for any model known, and
// small enough that bytes of a full-context KV cache, the largest product of these, stay below
// 2^60.
#pragma once

#include <cstdint>
#include <string_view>

#include "model/config.h"  // and kMaxHeadDim, of attention

namespace prefold {

inline constexpr int64_t kMaxLayers = 1024;
inline constexpr int64_t kMaxHidden = 1 << 17;
inline constexpr int64_t kMaxHeads = 1024;
inline constexpr int64_t kMaxFfn = 1 << 20;
inline constexpr int64_t kMaxVocab = 1 << 24;
inline constexpr int64_t kMaxContext = 1 << 26;
inline constexpr int64_t kMaxExperts = 4096;
inline constexpr double kMaxScale = 1e6;  // of what something is multiplied by

// Heads that share KV heads evenly and have an even size, experts no more than there are, a rope
// for each layer that wants one. Throws FormatError naming `path`.
void check_config(std::string_view path, const ModelConfig& config);

}  // namespace prefold
