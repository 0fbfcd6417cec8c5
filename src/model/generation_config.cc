#include "model/generation_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace prefold {
namespace {

// One id or a list; false if there is none.
bool read_stop_ids(const JsonObject& json, int32_t vocab_size, std::vector<int32_t>& ids) {
  constexpr std::string_view kKey = "eos_token_id";
  const nlohmann::json* value = json.find(kKey);
  if (value == nullptr) return false;
  if (!value->is_array()) {
    ids.push_back(static_cast<int32_t>(*json.find_int(kKey, 0, vocab_size - 1)));
    return true;
  }
  const auto listed = json.find_numbers(kKey, 0, vocab_size - 1);
  for (const double id : *listed) {
    if (id != static_cast<int32_t>(id)) json.throw_unexpected(kKey, "wanted integers");
    if (std::find(ids.begin(), ids.end(), static_cast<int32_t>(id)) == ids.end()) {
      ids.push_back(static_cast<int32_t>(id));
    }
  }
  return true;
}

std::optional<float> find_float(const JsonObject& json, std::string_view key, double least,
                                double most) {
  const auto value = json.find_number(key, least, most);
  if (!value) return std::nullopt;
  return static_cast<float>(*value);
}

}  // namespace

GenerationConfig read_generation_config(const JsonObject& generation, const JsonObject& config,
                                        int32_t vocab_size) {
  GenerationConfig result;
  if (!read_stop_ids(generation, vocab_size, result.stop_ids)) {
    read_stop_ids(config, vocab_size, result.stop_ids);
  }
  result.temperature = find_float(generation, "temperature", 0.0, 100.0);
  if (generation.find_bool("do_sample") == false) result.temperature = 0.0f;
  result.top_p = find_float(generation, "top_p", 1e-6, 1.0);
  result.min_p = find_float(generation, "min_p", 0.0, 1.0);
  result.repetition_penalty = find_float(generation, "repetition_penalty", 1e-6, 2.0);
  if (const auto top_k = generation.find_int("top_k", -1, INT32_MAX)) {
    result.top_k = static_cast<int32_t>(std::max<int64_t>(*top_k, 0));
  }
  return result;
}

}  // namespace prefold
