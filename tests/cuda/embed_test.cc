#include "kernels/cuda/embed.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "cuda/gpu_fixture.h"

namespace prefold::cuda {
namespace {

constexpr int32_t kVocab = 24;

// A matrix in host memory as weight_format.h lays it out, and its values.
struct QuantTable {
  std::vector<uint8_t> quants;
  std::vector<uint16_t> scales;
  std::vector<float> values;  // (kVocab, n_cols)
};

QuantTable random_table(WeightFormat format, int32_t n_cols, std::mt19937& rng) {
  const bool is_w8 = format == WeightFormat::kW8;
  const int32_t n_groups = n_cols / kWeightGroup;
  const int32_t n_units = n_groups * kVocab / kWeightUnitOutputs;
  QuantTable table;
  table.quants.assign(static_cast<size_t>(n_units) * unit_bytes(format), 0);
  table.scales.resize(static_cast<size_t>(n_groups) * kVocab * (is_w8 ? 1 : 2));
  table.values.resize(static_cast<size_t>(kVocab) * n_cols);
  std::normal_distribution<float> normal(0.0f, 0.05f);
  for (uint16_t& scale : table.scales) scale = f32_to_f16(normal(rng));
  std::uniform_int_distribution<int> quant(0, is_w8 ? 255 : 15);
  for (int32_t id = 0; id < kVocab; ++id) {
    for (int32_t k = 0; k < n_cols; ++k) {
      const int32_t group = k / kWeightGroup;
      const size_t unit = static_cast<size_t>(group) * (kVocab / kWeightUnitOutputs) + id / 8;
      uint8_t* bytes = table.quants.data() + unit * unit_bytes(format);
      const int32_t s = k % 32 / 16, upper = k % 16 / 8, t = k % 8 / 2, odd = k % 2;
      const int32_t lane = 4 * (id % 8) + t;
      const size_t scale = static_cast<size_t>(group) * kVocab + id;
      const int q = quant(rng);
      float& value = table.values[static_cast<size_t>(id) * n_cols + k];
      if (is_w8) {
        bytes[8 * lane + 4 * s + 2 * upper + odd] = static_cast<uint8_t>(q);
        value = f16_to_f32(table.scales[scale]) * static_cast<float>(q - 128);
      } else {
        const int bit = 8 * s + 4 * upper + 16 * odd;
        bytes[4 * lane + bit / 8] |= static_cast<uint8_t>(q << (bit % 8));
        value = std::fma(f16_to_f32(table.scales[2 * scale]), static_cast<float>(q),
                         f16_to_f32(table.scales[2 * scale + 1]));
      }
    }
  }
  return table;
}

// Rows from tokens and from slots, against the table's values: equal to the bit; then scaled and
// with learned positions added.
void check_embed(const DeviceMatrix& table, const std::vector<float>& values) {
  const std::vector<int32_t> token_ids{3, kTokenFromSlot, 0, kVocab - 1, kTokenFromSlot, 3};
  const std::vector<int32_t> input_slots{0, 2, 0, 1, 0, 0};
  const std::vector<int32_t> last_tokens{17, 5, 9};
  const std::vector<int32_t> wanted_ids{3, 9, 0, kVocab - 1, 17, 3};
  const DeviceBuffer<int32_t> ids(token_ids), slots(input_slots), last(last_tokens);
  const int32_t n_cols = table.n_in;
  const DeviceBuffer<float> hidden(token_ids.size() * n_cols);
  run_kernel("embed", launch_embed({ids.data(), slots.data(), last.data(),
                                    static_cast<int32_t>(token_ids.size()), table, hidden.data()},
                                   nullptr));
  const std::vector<float> out = hidden.download();
  for (size_t row = 0; row < wanted_ids.size(); ++row) {
    for (int32_t k = 0; k < n_cols; ++k) {
      REQUIRE(out[row * n_cols + k] == values[static_cast<size_t>(wanted_ids[row]) * n_cols + k]);
    }
  }

  const std::vector<int32_t> row_positions{0, 6, 2, 2, 1, 5};
  std::vector<float> learned(7 * static_cast<size_t>(n_cols));
  for (size_t i = 0; i < learned.size(); ++i) learned[i] = 0.01f * static_cast<float>(i % 97);
  const DeviceBuffer<int32_t> positions(row_positions);
  const DeviceBuffer<float> position_table(learned);
  run_kernel("embed", launch_embed({.token_ids = ids.data(),
                                    .input_slots = slots.data(),
                                    .last_tokens = last.data(),
                                    .n_rows = static_cast<int32_t>(token_ids.size()),
                                    .table = table,
                                    .hidden = hidden.data(),
                                    .scale = 7.25f,
                                    .position_table = position_table.data(),
                                    .positions = positions.data()},
                                   nullptr));
  const std::vector<float> with_positions = hidden.download();
  for (size_t row = 0; row < wanted_ids.size(); ++row) {
    for (int32_t k = 0; k < n_cols; ++k) {
      const float scaled = 7.25f * out[row * n_cols + k];
      REQUIRE(with_positions[row * n_cols + k] ==
              scaled + learned[static_cast<size_t>(row_positions[row]) * n_cols + k]);
    }
  }
}

TEST_CASE("embed: rows of a dense table, of tokens and of slots [smoke]") {
  for (const FloatType type : {FloatType::kF16, FloatType::kBf16, FloatType::kF32}) {
    for (const int32_t n_cols : {32, 576, 4096}) {
      CAPTURE(static_cast<int>(type));
      CAPTURE(n_cols);
      std::mt19937 rng(n_cols);
      std::normal_distribution<float> normal;
      std::vector<float> values(static_cast<size_t>(kVocab) * n_cols);
      for (float& value : values) value = normal(rng);
      values = rounded(type, values);
      const DeviceFloats table(type, values);
      check_embed({WeightFormat::kDense, type, kVocab, n_cols, table.data(), nullptr}, values);
    }
  }
}

TEST_CASE("embed: rows of quantised tables are d * q + m rounded once [smoke]") {
  for (const WeightFormat format : {WeightFormat::kW8, WeightFormat::kW4}) {
    for (const int32_t n_cols : {32, 576, 2080}) {
      CAPTURE(static_cast<int>(format));
      CAPTURE(n_cols);
      std::mt19937 rng(n_cols);
      const QuantTable table = random_table(format, n_cols, rng);
      const DeviceBuffer<uint8_t> quants(table.quants);
      const DeviceBuffer<uint16_t> scales(table.scales);
      check_embed({format, FloatType::kF16, kVocab, n_cols, quants.data(), scales.data()},
                  table.values);
    }
  }
}

TEST_CASE("embed: no rows is no launch") { CHECK(launch_embed({}, nullptr) == cudaSuccess); }

}  // namespace
}  // namespace prefold::cuda
