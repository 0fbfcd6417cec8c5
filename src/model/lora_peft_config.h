// adapter_config.json of a PEFT folder: which modules have an adapter, and by what it is scaled.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/regex.h"

namespace prefold {

// Whether that is the module's whole name or its end after a dot.
bool is_module_name(std::string_view name, const std::string& module);

// Names of modules, as PEFT matches them: a module's whole name or its end after a dot, or a
// regular expression for the whole name.
class ModulePattern {
 public:
  ModulePattern() = default;
  ModulePattern(const std::string& path, std::string_view key, const nlohmann::json& value);
  bool matches(const std::string& module) const;
  const std::vector<std::string>& names() const { return names_; }  // none of an expression

 private:
  std::vector<std::string> names_;
  std::optional<Regex> regex_;
};

struct PeftLoraConfig {
  std::string path;
  int64_t rank = 0;
  double alpha = 0.0;
  bool is_rank_stabilised = false;  // scale is alpha / sqrt(rank) (arXiv 2312.03732)
  bool all_linear = false;          // every matrix but the LM head
  ModulePattern targets, excluded;
  std::vector<int64_t> layers;  // that have adapters; empty: all
  // Of modules whose whole name, or end after a dot, the pattern matches.
  std::vector<std::pair<Regex, int64_t>> ranks;
  std::vector<std::pair<Regex, double>> alphas;
};

// Throws FormatError naming the key: of what is no LoRA, what would change the answer and is not
// supported (DoRA, biases, modules_to_save, ...), and of unknown keys with a value that is not
// neutral (null, false, 0, empty).
PeftLoraConfig parse_peft_lora_config(const std::string& path, std::string_view text);

// module: "model.layers.0.self_attn.q_proj", of that layer.
bool is_target(const PeftLoraConfig& config, const std::string& module, int64_t layer);
int64_t rank_of(const PeftLoraConfig& config, const std::string& module);
double scale_of(const PeftLoraConfig& config, const std::string& module);

}  // namespace prefold
