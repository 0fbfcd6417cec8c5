#include "kernels/cpu/vocab.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/kernels.h"

using namespace prefold;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_logits(int32_t n, uint32_t seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.0f, 4.0f);
  std::vector<float> logits(n);
  for (float& x : logits) x = normal(rng);
  return logits;
}

std::vector<float> tile_sums(const CpuKernels& kernels, const std::vector<float>& logits,
                             const VocabWeights& rule) {
  std::vector<float> sums((logits.size() + kVocabTile - 1) / kVocabTile);
  kernels.vocab->tile_sums(logits.data(), static_cast<int32_t>(logits.size()), rule, sums.data());
  return sums;
}

}  // namespace

TEST_CASE("highest finds the highest finite logit") {
  for (const CpuKernels* kernels : available_cpu_kernels()) {
    CAPTURE(std::string(kernels->isa));
    for (const int32_t n : {1, 15, 16, 17, 1023, 1024, 1025, 5000}) {
      std::vector<float> logits = random_logits(n, n);
      logits[0] = n > 2 ? kNaN : logits[0];
      if (n > 4) logits[1] = kInfinity;
      for (const int32_t at : {n / 2, n - 1}) {
        logits[at] = 100.0f + static_cast<float>(at);
        CHECK(kernels->vocab->highest(logits.data(), n) == logits[at]);
      }
    }
    const std::vector<float> nothing{kNaN, -kInfinity, kInfinity};
    CHECK(kernels->vocab->highest(nothing.data(), 3) == -kInfinity);
  }
}

TEST_CASE("weights follow their rule; tile sums add them up") {
  for (const CpuKernels* kernels : available_cpu_kernels()) {
    CAPTURE(std::string(kernels->isa));
    for (const int32_t n : {1, 40, 256, 3000}) {
      std::vector<float> logits = random_logits(n, 7 * n);
      if (n > 30) logits[30] = kNaN;
      if (n > 32) logits[32] = kInfinity;
      VocabWeights rule;
      rule.max_logit = kernels->vocab->highest(logits.data(), n);
      for (const int variant : {0, 1, 2}) {
        rule.temperature = variant == 1 ? 0.25f : 1.5f;
        rule.min_weight = variant == 2 ? 0.1f : 0.0f;
        std::vector<float> weights(n);
        kernels->vocab->weights(logits.data(), n, rule, weights.data());
        std::vector<double> sums((n + kVocabTile - 1) / kVocabTile);
        for (int32_t i = 0; i < n; ++i) {
          double wanted = 0.0;
          if (std::isfinite(logits[i])) {
            wanted = std::exp(double(logits[i] - rule.max_logit) / rule.temperature);
          }
          if (wanted < rule.min_weight) wanted = 0.0;
          REQUIRE(weights[i] == doctest::Approx(wanted).epsilon(1e-5));
          sums[i / kVocabTile] += weights[i];
        }
        const std::vector<float> got = tile_sums(*kernels, logits, rule);
        for (size_t t = 0; t < sums.size(); ++t) {
          CHECK(got[t] == doctest::Approx(sums[t]).epsilon(1e-6));
        }
        // A part of the row gives the same bits as the whole, also in place.
        std::vector<float> part(logits.begin() + n / 3, logits.end());
        kernels->vocab->weights(part.data(), n - n / 3, rule, part.data());
        CHECK(std::memcmp(part.data(), weights.data() + n / 3, part.size() * sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("a tile's weight is the sum of exp(logit - highest) of its finite logits") {
  const std::vector<const CpuKernels*> all = available_cpu_kernels();
  for (const int32_t n : {1, 15, 16, 17, 200, 255, 256}) {
    CAPTURE(n);
    std::vector<float> logits = random_logits(n, 3 * n);
    for (const int variant : {0, 1, 2}) {  // finite, some not, none
      for (int32_t i = 0; i < n && variant > 0; i += variant == 1 ? 3 : 1) {
        logits[i] = i % 2 == 0 ? kNaN : kInfinity;
      }
      float highest = -kInfinity;
      for (const float x : logits) {
        if (std::isfinite(x)) highest = std::max(highest, x);
      }
      double sum = 0.0;
      for (const float x : logits) {
        if (std::isfinite(x)) sum += std::exp(double{x} - highest);
      }
      const TileWeight first = all[0]->vocab->weigh_tile(logits.data(), n);
      CHECK(first.sum == doctest::Approx(sum).epsilon(1e-6));
      for (const CpuKernels* kernels : all) {
        CAPTURE(std::string(kernels->isa));
        const TileWeight tile = kernels->vocab->weigh_tile(logits.data(), n);
        CHECK(tile.highest == highest);
        CHECK(std::memcmp(&tile.sum, &first.sum, sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("collect_above lists the finite ids above a logit, in order") {
  for (const CpuKernels* kernels : available_cpu_kernels()) {
    CAPTURE(std::string(kernels->isa));
    std::vector<float> logits = random_logits(1000, 3);
    logits[17] = kInfinity;
    logits[18] = kNaN;
    logits[19] = -kInfinity;
    logits[20] = 2.0f;
    for (const float above : {-kInfinity, 2.0f, 50.0f}) {
      for (const int32_t begin : {0, 3, 990}) {
        std::vector<int32_t> wanted;
        for (int32_t i = begin; i < 1000; ++i) {
          if (std::isfinite(logits[i]) && logits[i] > above) wanted.push_back(i);
        }
        std::vector<int32_t> ids(1000 - begin);
        ids.resize(kernels->vocab->collect_above(logits.data(), begin, 1000, above, ids.data()));
        CHECK(ids == wanted);
      }
    }
  }
}

TEST_CASE("the vocabulary kernels give the same bits on every instruction set") {
  const std::vector<const CpuKernels*> all = available_cpu_kernels();
  const std::vector<float> logits = random_logits(49152 + 5, 11);
  VocabWeights rule;
  rule.max_logit = all[0]->vocab->highest(logits.data(), 49157);
  rule.temperature = 0.7f;
  for (const float min_weight : {0.0f, 1e-3f}) {
    rule.min_weight = min_weight;
    const std::vector<float> wanted = tile_sums(*all[0], logits, rule);
    for (const CpuKernels* kernels : all) {
      CAPTURE(std::string(kernels->isa));
      const std::vector<float> got = tile_sums(*kernels, logits, rule);
      CHECK(std::memcmp(got.data(), wanted.data(), wanted.size() * sizeof(float)) == 0);
    }
  }
}
