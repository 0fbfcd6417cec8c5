#include "model/hf_rope.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "base/error.h"
#include "model/gguf.h"
#include "model/model_limits.h"

namespace prefold {
namespace {

constexpr double kLeastTheta = 1.001, kMostTheta = 1e12;
constexpr double kLeastFactor = 1e-3, kMostFactor = 1e6;

double require_factor(const JsonObject& params, std::string_view key) {
  const auto factor = params.find_number(key, kLeastFactor, kMostFactor);
  if (!factor) params.throw_unexpected(key, "wanted a number from 0.001 to 1e6");
  return *factor;
}

void read_yarn(const JsonObject& params, const ModelConfig& config, RopeConfig& rope) {
  rope.scaling = RopeScaling::kYarn;
  const auto factor = params.find_number("factor", kLeastFactor, kMostFactor);
  rope.factor = factor.value_or(double(config.context_length) / rope.original_context);
  const auto magnitude_of = [&](double scale) {
    return rope.factor <= 1.0 ? 1.0 : 0.1 * scale * std::log(rope.factor) + 1.0;
  };
  const auto number = [&](std::string_view key) {
    return params.find_number(key, kLeastFactor, kMostFactor);
  };
  const auto mscale = number("mscale"), mscale_all = number("mscale_all_dim");
  double magnitude = magnitude_of(1.0);
  if (mscale && mscale_all) magnitude = magnitude_of(*mscale) / magnitude_of(*mscale_all);
  magnitude = number("attention_factor").value_or(magnitude);
  rope.attn_factor = magnitude / magnitude_of(1.0);
  rope.beta_fast = number("beta_fast").value_or(rope.beta_fast);
  rope.beta_slow = number("beta_slow").value_or(rope.beta_slow);
  if (params.find_bool("truncate") == false) {
    params.throw_unexpected("truncate", "YaRN whose ramp has fractional ends is not supported");
  }
}

// Each frequency's divisor, as Llama 3.1 defines it: none for wavelengths below a bound, the factor
// above another, a blend between.
void read_llama3(const JsonObject& params, RopeConfig& rope) {
  rope.scaling = RopeScaling::kLlama3;
  const double factor = require_factor(params, "factor");
  const double low = require_factor(params, "low_freq_factor");
  const double high = require_factor(params, "high_freq_factor");
  if (!(high > low))
    params.throw_unexpected("high_freq_factor", "wanted more than low_freq_factor");
  for (int32_t i = 0; i < rope.rotary_dim / 2; ++i) {
    const double frequency = std::pow(rope.theta, -2.0 * i / rope.rotary_dim);
    const double turns = rope.original_context * frequency / (2.0 * std::numbers::pi);
    double kept = 1.0;
    if (turns < low) {
      kept = 1.0 / factor;
    } else if (turns <= high) {
      const double smooth = (turns - low) / (high - low);
      kept = (1.0 - smooth) / factor + smooth;
    }
    rope.frequency_factors.push_back(static_cast<float>(1.0 / kept));
  }
}

std::vector<float> read_factors(const JsonObject& params, std::string_view key,
                                const RopeConfig& rope) {
  const auto numbers = params.find_numbers(key, 1e-6, 1e6);
  const auto n_wanted = static_cast<size_t>(rope.rotary_dim) / 2;
  if (!numbers || numbers->size() != n_wanted) {
    params.throw_unexpected(key, fmt::format("wanted {} numbers", n_wanted));
  }
  std::vector<float> factors;
  for (const double number : *numbers) factors.push_back(static_cast<float>(number));
  return factors;
}

void read_longrope(const JsonObject& params, const ModelConfig& config, RopeConfig& rope) {
  rope.scaling = RopeScaling::kLongRope;
  rope.frequency_factors = read_factors(params, "short_factor", rope);
  rope.long_frequency_factors = read_factors(params, "long_factor", rope);
  const double factor = params.find_number("factor", kLeastFactor, kMostFactor)
                            .value_or(double(config.context_length) / rope.original_context);
  double magnitude = 1.0;
  if (factor > 1.0 && rope.original_context > 1) {
    magnitude = std::sqrt(1.0 + std::log(factor) / std::log(double(rope.original_context)));
  }
  rope.attn_factor =
      params.find_number("attention_factor", kLeastFactor, kMostFactor).value_or(magnitude);
}

void read_scaling(const JsonObject& params, std::string type, bool is_phi3,
                  const ModelConfig& config, RopeConfig& rope) {
  if (is_phi3 && (type == "su" || type == "yarn")) type = "longrope";
  if (type == "default") return;
  if (type == "linear") {
    rope.factor = require_factor(params, "factor");
    if (rope.factor != 1.0) rope.scaling = RopeScaling::kLinear;
  } else if (type == "dynamic") {
    rope.scaling = RopeScaling::kDynamic;
    rope.factor = require_factor(params, "factor");
    rope.original_context = config.context_length;
    if (rope.rotary_dim < 4) {
      throw FormatError(
          fmt::format("{}: dynamic rope scaling needs 4 rotated elements or more", params.path()));
    }
  } else if (type == "yarn") {
    read_yarn(params, config, rope);
  } else if (type == "llama3") {
    read_llama3(params, rope);
  } else if (type == "longrope") {
    read_longrope(params, config, rope);
  } else {
    throw FormatError(fmt::format(
        "{}: rope scaling of type \"{}\" is not supported; \"default\", \"linear\", \"dynamic\", "
        "\"yarn\", \"llama3\" and \"longrope\" are",
        params.path(), printable(type)));
  }
}

// One rope from its parameters, whose own keys go before those beside them in config.json.
RopeConfig read_rope(const JsonObject& json, const JsonObject& params,
                     const HfRopeDefaults& defaults, const ModelConfig& config) {
  RopeConfig rope;
  rope.kind = RopeKind::kHalf;
  const auto number = [&](std::string_view key, std::string_view key_beside, double least,
                          double most, double otherwise) {
    const auto beside = json.find_number(key_beside, least, most);
    return params.find_number(key, least, most).value_or(beside.value_or(otherwise));
  };
  rope.theta = number("rope_theta", defaults.theta_key, kLeastTheta, kMostTheta, defaults.theta);
  const double partial =
      number("partial_rotary_factor", defaults.partial_key, 0.0, 1.0, defaults.partial);
  rope.rotary_dim = static_cast<int32_t>(config.head_dim * partial);
  if (rope.rotary_dim < 2 || rope.rotary_dim % 2 != 0) {
    throw FormatError(
        fmt::format("{}: {} of a head's {} elements are rotated (\"{}\"); wanted an even number",
                    json.path(), rope.rotary_dim, config.head_dim, defaults.partial_key));
  }
  constexpr std::string_view kOriginal = "original_max_position_embeddings";
  const auto inside = params.find_int(kOriginal, 1, kMaxContext);
  const auto beside = json.find_int(kOriginal, 1, kMaxContext);
  rope.original_context =
      static_cast<int32_t>(beside ? *beside : inside.value_or(config.context_length));
  const auto older_type = params.find_string("type");
  read_scaling(params, params.find_string("rope_type").value_or(older_type.value_or("default")),
               defaults.is_phi3, config, rope);
  for (const std::string& key : params.unread()) {
    params.throw_unexpected(key, "which this rope scaling does not know");
  }
  return rope;
}

const nlohmann::json& no_parameters() {
  static const nlohmann::json kEmpty = nlohmann::json::object();
  return kEmpty;
}

// rope_scaling goes before rope_parameters, as in transformers.
JsonObject parameters_of(const JsonObject& json) {
  auto newer = json.find_object("rope_parameters");
  if (auto older = json.find_object("rope_scaling")) return *older;
  return newer ? *newer : JsonObject(json.path(), "rope_parameters.", no_parameters());
}

}  // namespace

void read_hf_rope(const JsonObject& json, const HfRopeDefaults& defaults, ModelConfig& config) {
  config.ropes = {read_rope(json, parameters_of(json), defaults, config)};
  const RopeConfig& rope = config.ropes[0];
  if (rope.scaling != RopeScaling::kDynamic) return;
  config.context_length =
      static_cast<int32_t>(std::min(config.context_length * rope.factor, double(kMaxContext)));
}

void read_hf_rope_by_layer_type(const JsonObject& json, double full_theta, double sliding_theta,
                                ModelConfig& config) {
  const auto nested = json.find_object("rope_parameters");
  const auto part = [&](std::string_view key) {
    auto params = nested ? nested->find_object(key) : std::nullopt;
    return params ? *params : JsonObject(json.path(), "rope_parameters.", no_parameters());
  };
  const auto older = json.find_object("rope_scaling");
  const JsonObject full = older ? *older : part("full_attention");
  const JsonObject sliding = part("sliding_attention");
  if (nested) {
    for (const std::string& key : nested->unread()) {
      nested->throw_unexpected(key, "wanted \"full_attention\" and \"sliding_attention\"");
    }
  }
  HfRopeDefaults defaults{.theta = full_theta};
  config.ropes = {read_rope(json, full, defaults, config)};
  defaults = {.theta = sliding_theta, .theta_key = "rope_local_base_freq"};
  config.ropes.push_back(read_rope(json, sliding, defaults, config));
}

}  // namespace prefold
