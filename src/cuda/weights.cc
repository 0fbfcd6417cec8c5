#include "cuda/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "base/half.h"
#include "kernels/reference/dequantize.h"

namespace prefold::cuda {
namespace {

constexpr int32_t kStripOutputs = kWeightUnitOutputs;  // packed as one item of work
constexpr int32_t kSlab = 256;                         // elements unpacked at a time
constexpr size_t kAlignment = 256;                     // of a matrix and of its scales

size_t aligned(size_t n_bytes) { return (n_bytes + kAlignment - 1) / kAlignment * kAlignment; }

size_t element_bytes(FloatType type) { return type == FloatType::kF32 ? 4 : 2; }

void put_float(FloatType type, float value, std::byte* out) {
  if (type == FloatType::kF32) {
    std::memcpy(out, &value, 4);
  } else {
    const uint16_t half = type == FloatType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
    std::memcpy(out, &half, 2);
  }
}

bool overflows_f16(float value) { return std::abs(value) >= 65520.0f; }

// Eight outputs of a part: their stored rows, and the first of them in the whole matrix. Of the
// last eight n_outputs are stored, the others zeros.
struct Strip {
  TensorType type = TensorType::kF32;
  const std::byte* rows = nullptr;
  size_t row_bytes = 0;
  int32_t first_output = 0;
  int32_t n_outputs = kStripOutputs;

  std::span<const std::byte> stored(int32_t output, int32_t k, int32_t n) const {
    const TensorTypeTraits& traits = traits_of(type);
    return {rows + static_cast<size_t>(output) * row_bytes +
                static_cast<size_t>(stored_bytes(traits, k)),
            static_cast<size_t>(stored_bytes(traits, n))};
  }
};

// False if a value does not fit the type.
bool pack_dense_strip(const MatrixLayout& layout, const Strip& strip, std::byte* out) {
  const size_t row_bytes = static_cast<size_t>(layout.n_in) * element_bytes(layout.type);
  std::byte* at = out + static_cast<size_t>(strip.first_output) * row_bytes;
  const bool as_stored = (strip.type == TensorType::kF16 && layout.type == FloatType::kF16) ||
                         (strip.type == TensorType::kBF16 && layout.type == FloatType::kBf16) ||
                         (strip.type == TensorType::kF32 && layout.type == FloatType::kF32);
  std::memset(at + strip.n_outputs * row_bytes, 0, (kStripOutputs - strip.n_outputs) * row_bytes);
  if (as_stored) {
    std::memcpy(at, strip.rows, strip.n_outputs * row_bytes);
    return true;
  }
  bool fits = true;
  std::array<float, kSlab> values;
  for (int32_t output = 0; output < strip.n_outputs; ++output) {
    for (int32_t k = 0; k < layout.n_in; k += kSlab) {
      const int32_t n = std::min(kSlab, layout.n_in - k);
      const std::span<float> slab(values.data(), static_cast<size_t>(n));
      reference::dequantize(strip.type, strip.stored(output, k, n), slab);
      for (const float value : slab) {
        if (layout.type == FloatType::kF16 && overflows_f16(value)) fits = false;
        put_float(layout.type, value, at);
        at += element_bytes(layout.type);
      }
    }
  }
  return fits;
}

// What must be added to a type's quants to make them unsigned, taken back by the minimum.
int32_t unsigned_offset(TensorType type) { return type == TensorType::kQ4_0 ? 8 : 0; }

// The scale (and minimum) of a group of 32 and its quants into their places of a unit. `group`: the
// group's elements, of output g of the unit. False if a scale or minimum does not fit f16, here and
// below.
bool pack_w4_group(TensorType type, const reference::Quantised* group, int32_t g, uint32_t* unit,
                   std::byte* scales) {
  const int32_t offset = unsigned_offset(type);
  for (int32_t k = 0; k < kWeightGroup; ++k) {
    const auto quant = static_cast<uint32_t>(group[k].quant + offset);
    const int32_t step = k / 16, pair = k / 8 % 2, lane = 4 * g + k % 8 / 2, odd = k % 2;
    unit[lane] |= quant << (8 * step + 4 * pair + 16 * odd);
  }
  const float scale = group[0].scale;
  put_float(FloatType::kF16, scale, scales);
  if (has_zero_point(type)) {  // the minimum is minus scale times zero, exactly
    const bool is_number = std::isfinite(scale) && scale != 0.0f;
    const auto zero = static_cast<int32_t>(is_number ? -group[0].minimum / scale : 0.0f);
    const uint16_t bits = zero_bits(zero);
    std::memcpy(scales + 2, &bits, 2);
    return true;  // the scale was f16
  }
  const float minimum = group[0].minimum - static_cast<float>(offset) * scale;
  put_float(FloatType::kF16, minimum, scales + 2);
  // A minimum that is no number would be taken for a zero.
  return !overflows_f16(scale) && !overflows_f16(minimum) && !std::isnan(minimum);
}

bool pack_w8_group(const reference::Quantised* group, int32_t g, uint8_t* unit, std::byte* scale) {
  for (int32_t k = 0; k < kWeightGroup; ++k) {
    const int32_t step = k / 16, lane = 4 * g + k % 8 / 2, byte = k / 8 % 2 * 2 + k % 2;
    unit[8 * lane + 4 * step + byte] = static_cast<uint8_t>(group[k].quant + 128);
  }
  put_float(FloatType::kF16, group[0].scale, scale);
  return !overflows_f16(group[0].scale);
}

// False if a scale or minimum does not fit f16.
bool pack_quantised_strip(const MatrixLayout& layout, const Strip& strip, std::byte* out) {
  const bool w4 = layout.format == WeightFormat::kW4;
  const auto unit_size = static_cast<size_t>(unit_bytes(layout.format));
  const auto scale_size = static_cast<size_t>(scale_bytes(layout.format));
  const auto n_out = static_cast<size_t>(layout.n_out);
  const auto first = static_cast<size_t>(strip.first_output);
  bool fits = true;
  std::array<reference::Quantised, kSlab> elements;
  for (int32_t k = 0; k < layout.n_in; k += kSlab) {
    const int32_t n = std::min(kSlab, layout.n_in - k);
    const std::span<reference::Quantised> slab(elements.data(), static_cast<size_t>(n));
    std::array<std::array<uint32_t, 64>, kSlab / kWeightGroup> units{};
    for (int32_t i = 0; i < n / kWeightGroup; ++i) {
      const auto group_idx = static_cast<size_t>(k / kWeightGroup + i);
      std::memset(out + layout.scale_offset + (group_idx * n_out + first) * scale_size, 0,
                  kStripOutputs * scale_size);
    }
    for (int32_t g = 0; g < strip.n_outputs; ++g) {
      reference::unpack(strip.type, strip.stored(g, k, n), slab);
      for (int32_t i = 0; i < n / kWeightGroup; ++i) {
        const auto group_idx = static_cast<size_t>(k / kWeightGroup + i);
        std::byte* scale = out + layout.scale_offset +
                           (group_idx * n_out + first + static_cast<size_t>(g)) * scale_size;
        const reference::Quantised* group = &elements[static_cast<size_t>(i * kWeightGroup)];
        uint32_t* unit = units[static_cast<size_t>(i)].data();
        if (w4) {
          fits &= pack_w4_group(strip.type, group, g, unit, scale);
        } else {
          fits &= pack_w8_group(group, g, reinterpret_cast<uint8_t*>(unit), scale);
        }
      }
    }
    for (int32_t i = 0; i < n / kWeightGroup; ++i) {
      const auto group_idx = static_cast<size_t>(k / kWeightGroup + i);
      std::memcpy(out + (group_idx * n_out + first) / kStripOutputs * unit_size,
                  units[static_cast<size_t>(i)].data(), unit_size);
    }
  }
  return fits;
}

int32_t rounded_up(int32_t n_out) {
  return (n_out + kStripOutputs - 1) / kStripOutputs * kStripOutputs;
}

std::vector<Strip> strips_of(const MatrixLayout& layout, std::span<const StoredMatrix> parts) {
  std::vector<Strip> strips;
  int32_t first_output = 0;
  for (const StoredMatrix& part : parts) {
    const TensorTypeTraits& traits = traits_of(part.type);
    const auto row_bytes = static_cast<size_t>(stored_bytes(traits, layout.n_in));
    CHECK(part.n_out % kStripOutputs == 0 || &part == &parts.back());
    CHECK(layout.n_in % traits.block_elements == 0);
    CHECK(part.rows.size() == static_cast<size_t>(part.n_out) * row_bytes);
    for (int32_t output = 0; output < part.n_out; output += kStripOutputs) {
      strips.push_back({part.type, part.rows.data() + static_cast<size_t>(output) * row_bytes,
                        row_bytes, first_output + output,
                        std::min(kStripOutputs, part.n_out - output)});
    }
    first_output += part.n_out;
  }
  CHECK(rounded_up(first_output) == layout.n_out);
  return strips;
}

}  // namespace

WeightFormat weight_format(TensorType stored, FloatType activations) {
  const bool is_exact = activations == FloatType::kF32;
  switch (stored) {
    case TensorType::kQ8_0:
    case TensorType::kQ5_0:
    case TensorType::kIQ4_NL:
      return WeightFormat::kW8;
    case TensorType::kQ4_0:
    case TensorType::kQ4_1:
    case TensorType::kInt4_32:
    case TensorType::kInt4_64:
    case TensorType::kInt4_128:
      return WeightFormat::kW4;
    case TensorType::kMXFP4:
    case TensorType::kIQ4_XS:
      return is_exact ? WeightFormat::kDense : WeightFormat::kW8;
    case TensorType::kQ4_K:
      return is_exact ? WeightFormat::kDense : WeightFormat::kW4;
    default:
      return WeightFormat::kDense;
  }
}

MatrixLayout matrix_layout(TensorType stored, FloatType activations, int32_t n_out, int32_t n_in) {
  if (n_out <= 0 || n_in <= 0 || n_in % kWeightGroup != 0) {
    throw Error(
        fmt::format("a matrix of {} outputs and {} inputs; on CUDA inputs must be a multiple of {}",
                    n_out, n_in, kWeightGroup));
  }
  n_out = rounded_up(n_out);
  MatrixLayout layout{weight_format(stored, activations), activations, n_out, n_in};
  const size_t n_values = static_cast<size_t>(n_out) * static_cast<size_t>(n_in);
  if (layout.format == WeightFormat::kDense) {
    layout.n_bytes = aligned(n_values * element_bytes(activations));
    return layout;
  }
  const size_t n_units = n_values / (kWeightUnitOutputs * kWeightGroup);
  layout.scale_offset = aligned(n_units * static_cast<size_t>(unit_bytes(layout.format)));
  layout.n_bytes = layout.scale_offset + aligned(n_values / kWeightGroup *
                                                 static_cast<size_t>(scale_bytes(layout.format)));
  return layout;
}

void pack_matrix(const MatrixLayout& layout, std::span<const StoredMatrix> parts,
                 std::span<std::byte> out, ThreadPool& pool) {
  CHECK(out.size() == layout.n_bytes);
  for (const StoredMatrix& part : parts) {
    CHECK(weight_format(part.type, layout.type) == layout.format);
  }
  const std::vector<Strip> strips = strips_of(layout, parts);
  std::atomic<const Strip*> too_large = nullptr;
  pool.parallel_for(static_cast<int64_t>(strips.size()), [&](int64_t item, int32_t) {
    const Strip& strip = strips[static_cast<size_t>(item)];
    const bool fits = layout.format == WeightFormat::kDense
                          ? pack_dense_strip(layout, strip, out.data())
                          : pack_quantised_strip(layout, strip, out.data());
    if (!fits) too_large = &strip;
  });
  if (const Strip* strip = too_large.load(); strip != nullptr) {
    throw Error(fmt::format("a {} {} of outputs {} to {} is too large for f16 (65504 at most)",
                            traits_of(strip->type).name,
                            layout.format == WeightFormat::kDense ? "weight" : "scale or minimum",
                            strip->first_output, strip->first_output + strip->n_outputs - 1));
  }
}

DeviceMatrix device_matrix(const MatrixLayout& layout, const std::byte* device_bytes) {
  DeviceMatrix matrix{layout.format, layout.type, layout.n_out, layout.n_in, device_bytes};
  if (layout.format != WeightFormat::kDense) matrix.scales = device_bytes + layout.scale_offset;
  return matrix;
}

}  // namespace prefold::cuda
