// What a row needs of a layer of experts besides products (ops/moe.h), on the CPU, one row a call.
#pragma once

#include <cstdint>

namespace prefold {

struct MoeKernels {
  // x = softmax(x), n values: exp_nonpositive(x - max) divided by their sum, added up in 16 lanes.
  void (*softmax)(float* x, int32_t n);
  // 1 / (1 + exp(-x))
  float (*sigmoid)(float x);
  // out = the chain over the terms, in order, of acc = fma(weights[t], terms[t], acc) from 0;
  // n values, n_terms >= 1.
  void (*weighted_sum)(const float* const* terms, const float* weights, int32_t n_terms, int32_t n,
                       float* out);
};

}  // namespace prefold
