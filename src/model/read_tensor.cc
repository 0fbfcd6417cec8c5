#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "base/half.h"
#include "model/model_file.h"

namespace prefold {
namespace {

std::span<const std::byte> stored_bytes_of(const ModelFile& model, const StoredTensor& tensor) {
  return model.files[static_cast<size_t>(tensor.file)].bytes().subspan(tensor.offset,
                                                                       tensor.n_bytes);
}

int64_t n_rows_of(const StoredTensor& tensor) { return tensor.shape[0]; }

std::vector<std::byte> gather_runs(const StoredTensor& tensor, std::span<const std::byte> stored) {
  const size_t n_bytes = packed_bytes(tensor);
  const size_t row_bytes = n_bytes / static_cast<size_t>(n_rows_of(tensor));
  const size_t run_bytes = static_cast<size_t>(tensor.run_rows) * row_bytes;
  const size_t stride_bytes = static_cast<size_t>(tensor.stride_rows) * row_bytes;
  std::vector<std::byte> made(n_bytes);
  for (size_t run = 0; run * run_bytes < n_bytes; ++run) {
    std::memcpy(made.data() + run * run_bytes, stored.data() + run * stride_bytes, run_bytes);
  }
  return made;
}

std::vector<std::byte> join_places(const ModelFile& model, const StoredTensor& tensor) {
  std::vector<std::byte> made;
  made.reserve(packed_bytes(tensor));
  for (const StoredPlace& place : *tensor.places) {
    const auto bytes = model.files[static_cast<size_t>(place.file)].bytes();
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(place.offset);
    made.insert(made.end(), begin, begin + static_cast<std::ptrdiff_t>(place.n_bytes));
  }
  CHECK(made.size() == packed_bytes(tensor));
  return made;
}

template <typename Element>
void transpose(const StoredTensor& tensor, const std::byte* stored, std::byte* made) {
  constexpr int64_t kTile = 32;  // both sides of a tile stay in cache
  const int64_t n_out = tensor.shape[0], n_in = tensor.shape[1];
  for (int64_t out = 0; out < n_out; out += kTile) {
    for (int64_t in = 0; in < n_in; in += kTile) {
      for (int64_t o = out; o < std::min(out + kTile, n_out); ++o) {
        for (int64_t i = in; i < std::min(in + kTile, n_in); ++i) {
          std::memcpy(made + static_cast<size_t>(o * n_in + i) * sizeof(Element),
                      stored + static_cast<size_t>(i * tensor.stride_rows + o) * sizeof(Element),
                      sizeof(Element));
        }
      }
    }
  }
}

// The 4-bit numbers of one stored int32 matrix.
class Words {
 public:
  Words(const ModelFile& model, const StoredPlace& place, int64_t n_columns)
      : words_(model.files[static_cast<size_t>(place.file)].bytes().data() + place.offset),
        n_columns_(n_columns) {}
  uint32_t at(int64_t row, int64_t column) const {
    uint32_t word = 0;
    std::memcpy(&word, words_ + static_cast<size_t>(row * n_columns_ + column) * sizeof(word),
                sizeof(word));
    return word;
  }

 private:
  const std::byte* words_;
  int64_t n_columns_;
};

constexpr int64_t kPerWord = 8;
// Which 4 bits of a word AWQ gives to each of eight outputs.
constexpr std::array<int, 8> kAwqNibble{0, 4, 1, 5, 2, 6, 3, 7};

int nibble_of(Int4Source::Packing packing, int64_t output) {
  const auto i = static_cast<size_t>(output % kPerWord);
  return packing == Int4Source::Packing::kAwq ? kAwqNibble[i] : static_cast<int>(i);
}

// Writes what begins each block of an output: its scale and its zero.
void write_int4_scales(const ModelFile& model, const StoredTensor& tensor, size_t block_k,
                       size_t block_bytes, std::span<std::byte> made) {
  const Int4Source& source = *tensor.int4;
  const Words zeros(model, source.zeros, source.n_stored_out / kPerWord);
  const std::byte* scales =
      model.files[static_cast<size_t>(source.scales.file)].bytes().data() + source.scales.offset;
  const auto n_blocks = static_cast<size_t>(tensor.shape[1]) / block_k;
  for (int64_t row = 0; row < tensor.shape[0]; ++row) {
    const int64_t output = source.first_out + row;
    const int shift = 4 * nibble_of(source.packing, output);
    for (size_t b = 0; b < n_blocks; ++b) {
      const auto group = static_cast<int64_t>(b * block_k) / source.group;
      std::byte* block = made.data() + (static_cast<size_t>(row) * n_blocks + b) * block_bytes;
      std::memcpy(block, scales + static_cast<size_t>(group * source.n_stored_out + output) * 2, 2);
      const uint32_t zero = (zeros.at(group, output / kPerWord) >> shift & 15) +
                            static_cast<uint32_t>(source.zero_offset);
      block[2] = static_cast<std::byte>(zero);
    }
  }
}

// Where input k of a row lies in its blocks: the byte, and whether in its high half.
struct NibblePlace {
  size_t byte;
  int shift;
};
NibblePlace place_of(int64_t k, size_t block_k, size_t block_bytes) {
  const auto at = static_cast<size_t>(k);
  const size_t in_block = at % block_k, chunk = in_block / 32, i = in_block % 32;
  return {at / block_k * block_bytes + 3 + chunk * 16 + i % 16, i < 16 ? 0 : 4};
}

void write_int4_quants(const ModelFile& model, const StoredTensor& tensor, size_t block_k,
                       size_t block_bytes, std::span<std::byte> made) {
  const Int4Source& source = *tensor.int4;
  const bool is_gptq = source.packing == Int4Source::Packing::kGptq;
  const Words words(model, source.quants,
                    is_gptq ? source.n_stored_out : source.n_stored_out / kPerWord);
  const int64_t n_in = tensor.shape[1], n_out = tensor.shape[0];
  const size_t row_bytes = static_cast<size_t>(n_in) / block_k * block_bytes;
  for (int64_t k = 0; k < n_in; ++k) {
    const NibblePlace place = place_of(k, block_k, block_bytes);
    const int64_t from =
        source.input_order == nullptr ? k : int64_t{(*source.input_order)[static_cast<size_t>(k)]};
    for (int64_t row = 0; row < n_out; ++row) {
      const int64_t output = source.first_out + row;
      const uint32_t word =
          is_gptq ? words.at(from / kPerWord, output) : words.at(from, output / kPerWord);
      const int shift =
          4 * (is_gptq ? static_cast<int>(from % kPerWord) : nibble_of(source.packing, output));
      std::byte& byte = made[static_cast<size_t>(row) * row_bytes + place.byte];
      byte |= static_cast<std::byte>((word >> shift & 15) << place.shift);
    }
  }
}

std::vector<std::byte> make_int4(const ModelFile& model, const StoredTensor& tensor) {
  const TensorTypeTraits& traits = traits_of(tensor.type);
  const auto block_k = static_cast<size_t>(traits.block_elements);
  const auto block_bytes = static_cast<size_t>(traits.block_bytes);
  std::vector<std::byte> made(packed_bytes(tensor));
  write_int4_scales(model, tensor, block_k, block_bytes, made);
  write_int4_quants(model, tensor, block_k, block_bytes, made);
  return made;
}

float float_at(TensorType type, const std::byte* p) {
  if (type == TensorType::kF32) {
    float value;
    std::memcpy(&value, p, sizeof(value));
    return value;
  }
  CHECK(type == TensorType::kF16 || type == TensorType::kBF16);
  uint16_t half;
  std::memcpy(&half, p, sizeof(half));
  return type == TensorType::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
}

}  // namespace

TensorBytes read_tensor(const ModelFile& model, const StoredTensor& tensor) {
  const std::span<const std::byte> stored = stored_bytes_of(model, tensor);
  TensorBytes result;
  switch (tensor.transform) {
    case TensorTransform::kNone:
    case TensorTransform::kPlusOne:  // read_floats adds it
      result.bytes = stored;
      return result;
    case TensorTransform::kRowRuns:
      result.made = gather_runs(tensor, stored);
      break;
    case TensorTransform::kTransposed:
      result.made.resize(packed_bytes(tensor));
      if (tensor.type == TensorType::kF32) {
        transpose<uint32_t>(tensor, stored.data(), result.made.data());
      } else {
        CHECK(traits_of(tensor.type).block_bytes == 2);
        transpose<uint16_t>(tensor, stored.data(), result.made.data());
      }
      break;
    case TensorTransform::kInt4:
      result.made = make_int4(model, tensor);
      break;
    case TensorTransform::kStacked:
      result.made = join_places(model, tensor);
      break;
  }
  result.bytes = result.made;
  return result;
}

std::vector<float> read_floats(const ModelFile& model, const StoredTensor& tensor) {
  const TensorBytes read = read_tensor(model, tensor);
  const auto size = static_cast<size_t>(traits_of(tensor.type).block_bytes);
  const float added = tensor.transform == TensorTransform::kPlusOne ? 1.0f : 0.0f;
  std::vector<float> values(static_cast<size_t>(n_elements(tensor)));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = float_at(tensor.type, read.bytes.data() + i * size);
    if (added != 0.0f) values[i] += added;
  }
  return values;
}

void drop_tensor(const ModelFile& model, const StoredTensor& tensor) {
  const auto drop = [&](const StoredPlace& place) {
    model.files[static_cast<size_t>(place.file)].drop(place.offset, place.n_bytes);
  };
  drop({tensor.file, tensor.offset, tensor.n_bytes});
  if (tensor.int4 != nullptr) {
    drop(tensor.int4->zeros);
    drop(tensor.int4->scales);
  }
  if (tensor.places != nullptr) std::for_each(tensor.places->begin(), tensor.places->end(), drop);
}

}  // namespace prefold
