#include "kernels/reference/elementwise.h"

#include <cmath>

namespace prefold::reference {

std::vector<double> rmsnorm(std::span<const float> x, std::span<const float> gamma, double eps) {
  double squares = 0.0;
  for (const float value : x) squares += double{value} * value;
  const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  std::vector<double> out(x.size());
  for (size_t i = 0; i < x.size(); ++i) out[i] = x[i] * inverse * gamma[i];
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

std::vector<double> silu_mul(std::span<const float> gate, std::span<const float> up) {
  std::vector<double> out(gate.size());
  for (size_t i = 0; i < gate.size(); ++i) {
    out[i] = gate[i] / (1.0 + std::exp(-double{gate[i]})) * up[i];
  }
  return out;
}

}  // namespace prefold::reference
