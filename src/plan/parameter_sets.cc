#include "plan/parameter_sets.h"

#include <bit>
#include <string>

namespace prefold {
namespace {

class Hash {
 public:
  void add(uint64_t value) {
    hash_ = (hash_ ^ value) * 0x9E3779B97F4A7C15;
    hash_ ^= hash_ >> 29;
  }
  void add(float value) { add(uint64_t{std::bit_cast<uint32_t>(value + 0.0f)}); }  // -0 is 0
  void add(int32_t value) { add(uint64_t{static_cast<uint32_t>(value)}); }
  void add(const std::optional<int32_t>& value) { add(value.value_or(-1)); }
  void add(const std::vector<int32_t>& values) {
    add(values.size());
    for (const int32_t value : values) add(value);
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0xCBF29CE484222325;
};

uint64_t hash_of(const ParameterSet& set) {
  const SamplingParams& params = set.params;
  Hash hash;
  for (const float value : {params.temperature, params.top_p, params.min_p, params.presence_penalty,
                            params.frequency_penalty, params.repetition_penalty}) {
    hash.add(value);
  }
  for (const int32_t value : {params.min_tokens, params.top_k, params.n, set.n_computed}) {
    hash.add(value);
  }
  hash.add(params.logprobs);
  hash.add(params.prompt_logprobs);
  hash.add(params.logit_bias.size());
  for (const auto& [id, bias] : params.logit_bias) {
    hash.add(id);
    hash.add(bias);
  }
  for (const std::string& stop : params.stop) hash.add(std::hash<std::string>{}(stop));
  hash.add(params.stop_token_ids);
  hash.add(set.stop_ids);
  if (set.embedding) {
    hash.add(set.embedding->dimensions);
    hash.add(set.embedding->base64 ? 1 : 2);
  }
  hash.add(set.has_seed ? 1 : 2);
  hash.add(static_cast<int32_t>(set.kind));
  hash.add(std::hash<std::string>{}(set.model));
  return hash.value();
}

}  // namespace

int32_t ParameterSets::add(ParameterSet set) {
  if (last_added_ >= 0 && sets_[last_added_] == set) return last_added_;
  const uint64_t hash = hash_of(set);
  const auto [begin, end] = by_hash_.equal_range(hash);
  for (auto same = begin; same != end; ++same) {
    if (sets_[same->second] == set) return last_added_ = same->second;
  }
  last_added_ = size();
  by_hash_.emplace(hash, last_added_);
  sets_.push_back(std::move(set));
  return last_added_;
}

}  // namespace prefold
