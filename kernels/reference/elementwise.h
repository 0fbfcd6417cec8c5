// The small ops of a layer in double: the truth that the fast kernels come close to.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace prefold::reference {

// x / sqrt(mean(x^2) + eps) * weight; no weight (empty) counts as 1.
std::vector<double> rmsnorm(std::span<const float> x, std::span<const float> weight, double eps);

// (x - mean(x)) / sqrt(var(x) + eps) * weight + bias; no bias counts as 0.
std::vector<double> layernorm(std::span<const float> x, std::span<const float> weight,
                              std::span<const float> bias, double eps);

// One head with its first 2 * cos.size() elements rotated. Pair i is (2i, 2i + 1) if interleaved,
// else (i, i + cos.size()).
std::vector<double> rope(std::span<const float> x, std::span<const float> cos,
                         std::span<const float> sin, bool interleaved);

// Of one value: x / (1 + exp(-x)); x / 2 (1 + erf(x / sqrt 2));
// x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))); the larger of x and 0.
double silu(double x);
double gelu(double x);
double gelu_tanh(double x);
double relu(double x);

}  // namespace prefold::reference
