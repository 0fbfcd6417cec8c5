// The small ops of a layer in double: the truth that the fast kernels come close to.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace prefold::reference {

// x / sqrt(mean(x^2) + eps) * gamma
std::vector<double> rmsnorm(std::span<const float> x, std::span<const float> gamma, double eps);

// One head with its first 2 * cos.size() elements rotated. Pair i is (2i, 2i + 1) if interleaved,
// else (i, i + cos.size()).
std::vector<double> rope(std::span<const float> x, std::span<const float> cos,
                         std::span<const float> sin, bool interleaved);

// gate / (1 + exp(-gate)) * up
std::vector<double> silu_mul(std::span<const float> gate, std::span<const float> up);

}  // namespace prefold::reference
