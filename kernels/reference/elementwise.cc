#include "kernels/reference/elementwise.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace prefold::reference {

std::vector<double> rmsnorm(std::span<const float> x, std::span<const float> weight, double eps) {
  double squares = 0.0;
  for (const float value : x) squares += double{value} * value;
  const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  std::vector<double> out(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    out[i] = x[i] * inverse * (weight.empty() ? 1.0 : weight[i]);
  return out;
}

std::vector<double> layernorm(std::span<const float> x, std::span<const float> weight,
                              std::span<const float> bias, double eps) {
  double sum = 0.0, squares = 0.0;
  for (const float value : x) sum += value;
  const double mean = sum / static_cast<double>(x.size());
  for (const float value : x) squares += (value - mean) * (value - mean);
  const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  std::vector<double> out(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    out[i] = (x[i] - mean) * inverse * (weight.empty() ? 1.0 : weight[i]) +
             (bias.empty() ? 0.0 : bias[i]);
  }
  return out;
}

std::vector<double> rope(std::span<const float> x, std::span<const float> cos,
                         std::span<const float> sin, bool interleaved) {
  std::vector<double> out(x.begin(), x.end());
  for (size_t i = 0; i < cos.size(); ++i) {
    const size_t a = interleaved ? 2 * i : i;
    const size_t b = interleaved ? 2 * i + 1 : i + cos.size();
    out[a] = double{x[a]} * cos[i] - double{x[b]} * sin[i];
    out[b] = double{x[b]} * cos[i] + double{x[a]} * sin[i];
  }
  return out;
}

double silu(double x) { return x / (1.0 + std::exp(-x)); }

double gelu(double x) { return x / 2 * (1.0 + std::erf(x / std::numbers::sqrt2)); }

double gelu_tanh(double x) {
  const double inner = std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return x / 2 * (1.0 + std::tanh(inner));
}

double relu(double x) { return std::max(x, 0.0); }

}  // namespace prefold::reference
