// Whole jobs on the GPU, small enough for the emulator.
#pragma once

#include <doctest/doctest.h>

#include <fmt/format.h>

#include <string>
#include <vector>

#include "cuda/gpu_fixture.h"
#include "e2e/job_fixture.h"
#include "e2e/varied_requests.h"

namespace prefold {

inline constexpr const char* kTinyBpe = "tests/data/models/tiny_bpe.gguf";
inline constexpr const char* kTinySpm = "tests/data/models/tiny_spm.gguf";  // grouped heads

inline RunOptions gpu_options(const std::string& model) {
  cuda::gpu();  // the case fails where there is none
  RunOptions options;
  options.model = model;
  options.device = DeviceChoice::kCuda;
  options.deterministic = true;
  options.threads = 1;
  options.max_model_len = 512;
  options.max_num_batched_tokens = 256;
  return options;
}

// Few requests of every kind, and a prefix of several attention chunks that three of them share.
inline std::vector<Json> gpu_requests(int n_varied, int n_shared_tokens) {
  std::vector<Json> lines = varied_requests(256, n_varied, 40);
  for (Json& line : lines) line["max_tokens"] = line["max_tokens"].get<int>() % 8 + 1;
  std::mt19937 random(5);
  std::vector<int32_t> prefix;
  for (int i = 0; i < n_shared_tokens; ++i) {
    prefix.push_back(20 + static_cast<int32_t>(random() % 230));
  }
  for (int i = 0; i < 3; ++i) {
    std::vector<int32_t> prompt = prefix;
    for (int k = 0; k < 1 + 20 * i; ++k) prompt.push_back(30 + 7 * i + k);
    lines.push_back({{"id", fmt::format("s{}", i)},
                     {"prompt_token_ids", prompt},
                     {"max_tokens", 4},
                     {"return_token_ids", true},
                     {"logprobs", 2},
                     {"temperature", 0}});
  }
  return lines;
}

}  // namespace prefold
