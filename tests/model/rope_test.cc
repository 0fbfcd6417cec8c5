#include "model/rope.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <sstream>
#include <string>

namespace prefold {
namespace {

RopeConfig plain_rope() {
  RopeConfig config;
  config.theta = 10000.0;
  config.rotary_dim = 8;
  return config;
}

TEST_CASE("the table holds cosine and sine of position times frequency") {
  const RopeTable table = make_rope_table(plain_rope(), 100, 100);
  CHECK(table.rotary_dim == 8);
  CHECK(table.n_positions == 100);
  REQUIRE(table.cos.size() == 400);
  REQUIRE(table.sin.size() == 400);
  CHECK(table.cos[0] == 1.0f);
  CHECK(table.sin[0] == 0.0f);
  // Position 99, pair 2: frequency 10000^(-4/8) = 0.01.
  CHECK(table.cos[99 * 4 + 2] == static_cast<float>(std::cos(0.99)));
  CHECK(table.sin[99 * 4 + 2] == static_cast<float>(std::sin(0.99)));
}

TEST_CASE("a longer table begins with the shorter one") {
  const RopeTable shorter = make_rope_table(plain_rope(), 10, 10);
  const RopeTable longer = make_rope_table(plain_rope(), 50, 50);
  CHECK(std::equal(shorter.cos.begin(), shorter.cos.end(), longer.cos.begin()));
  CHECK(std::equal(shorter.sin.begin(), shorter.sin.end(), longer.sin.begin()));
}

TEST_CASE("llama3 factors divide the frequencies, also beneath another scaling") {
  RopeConfig config = plain_rope();
  const std::vector<double> plain = rope_frequencies(config, 100);
  config.scaling = RopeScaling::kLlama3;
  config.frequency_factors = {1.0f, 2.0f, 4.0f, 8.0f};
  std::vector<double> scaled = rope_frequencies(config, 100);
  CHECK(rope_magnitude(config) == 1.0);
  for (size_t i = 0; i < 4; ++i) CHECK(scaled[i] == plain[i] / config.frequency_factors[i]);
  config.scaling = RopeScaling::kLinear;
  config.factor = 2.0;
  scaled = rope_frequencies(config, 100);
  for (size_t i = 0; i < 4; ++i) CHECK(scaled[i] == plain[i] / config.frequency_factors[i] / 2.0);
}

TEST_CASE("longrope's factors are chosen by the longest sequence that a run allows") {
  RopeConfig config = plain_rope();
  const std::vector<double> plain = rope_frequencies(config, 100);
  config.scaling = RopeScaling::kLongRope;
  config.original_context = 64;
  config.attn_factor = 1.25;
  config.frequency_factors = {1.0f, 1.5f, 2.0f, 2.5f};
  config.long_frequency_factors = {1.0f, 2.0f, 4.0f, 8.0f};
  CHECK(rope_magnitude(config) == 1.25);
  for (const int32_t max_len : {10, 64, 65, 1000}) {
    const std::vector<float>& factors =
        max_len <= 64 ? config.frequency_factors : config.long_frequency_factors;
    const std::vector<double> scaled = rope_frequencies(config, max_len);
    for (size_t i = 0; i < 4; ++i) CHECK(scaled[i] == plain[i] / factors[i]);
  }
  // Fewer rows of the table, as where the KV pool is small, change none.
  const RopeTable all = make_rope_table(config, 100, 100), few = make_rope_table(config, 50, 100);
  CHECK(std::equal(few.cos.begin(), few.cos.end(), all.cos.begin()));
}

TEST_CASE("dynamic scaling grows theta with the longest sequence beyond the original context") {
  RopeConfig config = plain_rope();
  const std::vector<double> plain = rope_frequencies(config, 100);
  config.scaling = RopeScaling::kDynamic;
  config.original_context = 64;
  config.factor = 4.0;
  CHECK(rope_frequencies(config, 64) == plain);
  const std::vector<double> scaled = rope_frequencies(config, 256);
  // theta * (4 * 256 / 64 - 3)^(8 / 6)
  const double theta = 10000.0 * std::pow(13.0, 8.0 / 6.0);
  for (size_t i = 0; i < 4; ++i) {
    CHECK(scaled[i] == doctest::Approx(std::pow(theta, -2.0 * static_cast<double>(i) / 8)));
  }
}

TEST_CASE("linear and yarn frequencies and magnitude equal those of transformers") {
  std::ifstream file("tests/data/rope_oracle.txt");  // scripts/make_rope_oracle.py
  int n_cases = 0;
  for (std::string line; std::getline(file, line); ++n_cases) {
    std::istringstream words(line);
    std::string scaling;
    RopeConfig config;
    double magnitude = 0.0;
    words >> scaling >> config.theta >> config.rotary_dim >> config.factor >>
        config.original_context >> config.beta_fast >> config.beta_slow >> magnitude;
    config.scaling = scaling == "yarn" ? RopeScaling::kYarn : RopeScaling::kLinear;
    CAPTURE(line.substr(0, 50));
    CHECK(rope_magnitude(config) == doctest::Approx(magnitude).epsilon(1e-7));
    for (const double frequency : rope_frequencies(config, 100)) {
      double wanted = 0.0;  // computed in f32
      words >> wanted;
      CHECK(frequency == doctest::Approx(wanted).epsilon(2e-6));
    }
    CHECK_FALSE(words.fail());
  }
  CHECK(n_cases == 5);
}

}  // namespace
}  // namespace prefold
