// The arithmetic that a job cannot do without, however it is run: what the roofline bound of
// `prefold bench` counts.
//
//   FLOPs = 2 x matrix parameters of the layers x rows
//         - 2 x those of the last layer but for keys and values x (rows - read)
//         + 4 x heads x head size x attended
//         + 2 x hidden size x vocabulary x sampled
//
// A row is a token that goes through the layers: each token of the prefix tree once, and each
// sampled token but a sequence's last. A row is read if a token is sampled after it; of the others
// the last layer needs keys and values only. In each layer a row attends to itself and all
// positions before it, or to those in the layer's window (in the last layer if it is read): a dot
// product with each key and a scaled sum of the values, 2 FLOPs per element each. The LM head is
// needed for sampled tokens only. Norms, rotary embedding, softmax and sampling count nothing.
// Bound in seconds = FLOPs / measured peak of fused multiply-adds, all threads.
#pragma once

#include <cstdint>

#include "model/config.h"
#include "schedule/job.h"

namespace prefold {

struct JobWork {
  int64_t rows = 0;
  int64_t read = 0;      // rows
  int64_t attended = 0;  // positions, summed over rows and layers
  int64_t sampled = 0;   // tokens
  int64_t longest = 0;   // tokens of the longest sequence, prompt and answer
};

// Of a job whose sequences all sample their max_tokens (no end tokens, no stop strings), by its
// prefix tree.
JobWork work_of(const Job& job, const ModelConfig& model);

double flops_of(const JobWork& work, const ModelConfig& model);

}  // namespace prefold
