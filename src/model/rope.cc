#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace prefold {
namespace {

// The (fractional) index of the pair that turns n_turns times in the original context.
double pair_of_turns(const RopeConfig& config, double n_turns) {
  return config.rotary_dim *
         std::log(config.original_context / (n_turns * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(config.theta));
}

void scale_yarn(const RopeConfig& config, std::vector<double>& frequencies) {
  const double last = config.rotary_dim - 1;
  const double low = std::clamp(std::floor(pair_of_turns(config, config.beta_fast)), 0.0, last);
  const double high = std::clamp(std::ceil(pair_of_turns(config, config.beta_slow)), 0.0, last);
  const double width = std::max(high - low, 0.001);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double interpolated = std::clamp((static_cast<double>(i) - low) / width, 0.0, 1.0);
    frequencies[i] *= (1.0 - interpolated) + interpolated / config.factor;
  }
}

// theta, or where it is dynamic what it has to be for so many positions.
double theta_of(const RopeConfig& config, int32_t max_len) {
  if (config.scaling != RopeScaling::kDynamic || max_len <= config.original_context) {
    return config.theta;
  }
  CHECK(config.rotary_dim > 2);
  const double growth = config.factor * max_len / config.original_context - (config.factor - 1.0);
  return config.theta * std::pow(growth, config.rotary_dim / (config.rotary_dim - 2.0));
}

}  // namespace

std::vector<double> rope_frequencies(const RopeConfig& config, int32_t max_len) {
  const size_t n_pairs = static_cast<size_t>(config.rotary_dim) / 2;
  const bool is_long =
      config.scaling == RopeScaling::kLongRope && max_len > config.original_context;
  const std::vector<float>& factors =
      is_long ? config.long_frequency_factors : config.frequency_factors;
  CHECK(factors.empty() || factors.size() == n_pairs);
  const double theta = theta_of(config, max_len);
  std::vector<double> frequencies(n_pairs);
  for (size_t i = 0; i < n_pairs; ++i) {
    frequencies[i] = std::pow(theta, -2.0 * static_cast<double>(i) / config.rotary_dim);
    if (!factors.empty()) frequencies[i] /= factors[i];
  }
  if (config.scaling == RopeScaling::kLinear) {
    for (double& frequency : frequencies) frequency /= config.factor;
  } else if (config.scaling == RopeScaling::kYarn) {
    scale_yarn(config, frequencies);
  }
  return frequencies;
}

double rope_magnitude(const RopeConfig& config) {
  if (config.scaling == RopeScaling::kLongRope) return config.attn_factor;
  if (config.scaling != RopeScaling::kYarn) return 1.0;
  // The paper extends contexts; a factor below 1 shrinks nothing here.
  const double log_factor = std::max(std::log(config.factor), 0.0);
  return config.attn_factor * (0.1 * log_factor + 1.0);
}

RopeTable make_rope_table(const RopeConfig& config, int32_t n_positions, int32_t max_len) {
  const std::vector<double> frequencies = rope_frequencies(config, max_len);
  const double magnitude = rope_magnitude(config);
  RopeTable table;
  table.kind = config.kind;
  table.rotary_dim = config.rotary_dim;
  table.n_positions = n_positions;
  const size_t n_values = static_cast<size_t>(n_positions) * frequencies.size();
  table.cos.reserve(n_values);
  table.sin.reserve(n_values);
  for (int32_t position = 0; position < n_positions; ++position) {
    for (const double frequency : frequencies) {
      table.cos.push_back(static_cast<float>(std::cos(position * frequency) * magnitude));
      table.sin.push_back(static_cast<float>(std::sin(position * frequency) * magnitude));
    }
  }
  return table;
}

std::vector<RopeTable> make_rope_tables(const ModelConfig& model, int32_t n_positions,
                                        int32_t max_len) {
  std::vector<RopeTable> tables;
  for (const RopeConfig& rope : model.ropes) {
    tables.push_back(make_rope_table(rope, n_positions, max_len));
  }
  return tables;
}

}  // namespace prefold
