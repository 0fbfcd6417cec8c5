// The names that Hugging Face models give their tensors, and what each is for.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "model/hf_config.h"

namespace prefold {

// What a stored tensor is for.
enum class TensorUse : uint8_t {
  kPlain,
  kConv1d,         // (inputs, outputs) is stored
  kQkv,            // q, k and v, one after another
  kQkvConv1d,      // so too, of columns
  kQkvByHead,      // of each head: its q, k and v
  kGateUp,         // gate, then up
  kPostAttention,  // a norm after attention, or before the feed-forward block
  kExpert,         // of the expert whose number is in the name
  kHeadNorm,       // of the head whose number is in the name
  kExpertsGateUp,  // (experts, gate and up, inputs)
  kExpertsDown,    // (experts, outputs, inputs)
  kDropped,        // follows from the configuration
};

struct NameRule {
  std::string_view theirs;  // "#" stands for a number
  std::string_view ours;
  TensorUse use = TensorUse::kPlain;
};

struct NameTable {
  std::span<const NameRule> globals, layers;
  std::string_view layer_prefix;  // "layers."
};
NameTable names_of(HfNames names);

// The rule of a name without prefix, layer and ending, or null; `number` becomes the one in it.
const NameRule* find_rule(std::span<const NameRule> rules, std::string_view name, int32_t& number);

// The number at the start of `text`, which it takes away with the dot behind it; -1 if there is
// none of up to six digits without a leading zero, or no dot.
int32_t take_number(std::string_view& text);

// Models of several parts, and models without a head, have other names before the same ones.
std::string_view without_prefixes(std::string_view name);

// Of a vision tower and what joins it to the language model.
bool is_of_other_part(std::string_view name);

// The ending that says which of a matrix's tensors this is ("weight", "bias", "qweight", ...),
// taken away; empty if there is none.
std::string_view take_ending(std::string_view& name);

}  // namespace prefold
