// 4-bit checkpoints: "quantization_config" of config.json, and the three or four stored tensors
// (qweight, qzeros, scales, g_idx) that make one matrix (Int4Source has their layouts).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "model/json_object.h"
#include "model/safetensors.h"
#include "model/stored_tensor.h"

namespace prefold {

struct HfQuantization {
  bool is_quantised = false;
  Int4Source::Packing packing = Int4Source::Packing::kGptq;
  int32_t group_size = 0;   // -1: all inputs of an output are one group
  int32_t zero_offset = 0;  // 1: zeros are stored less one
};

// Reads "quantization_config". Throws FormatError naming what is not supported: another method
// (FP8, bitsandbytes), other bits than 4.
HfQuantization read_hf_quantization(const JsonObject& config);

// The stored tensors of one matrix, by the ends of their names; null where there is none.
struct QuantisedParts {
  const SafetensorsEntry* quants = nullptr;
  const SafetensorsEntry* zeros = nullptr;
  const SafetensorsEntry* scales = nullptr;
  const SafetensorsEntry* group_idx = nullptr;  // g_idx: the group of each input
  int32_t quants_file = 0, zeros_file = 0, scales_file = 0, group_idx_file = 0;
};

// The orders of a model's matrices, each once (input_order.h).
struct ByInputs {
  bool operator()(const InputOrder& a, const InputOrder& b) const { return *a < *b; }
};
using InputOrders = std::set<InputOrder, ByInputs>;

// The whole matrix as a tensor of its own (named `name`), before any cutting. Where g_idx is not
// sorted the tensor has an input order, one of `orders`, which is added to. Throws FormatError: a
// part is missing, of another type or shape, groups of more or fewer inputs than they should have.
StoredTensor make_int4_tensor(const std::string& path, const std::string& name,
                              const QuantisedParts& parts, const HfQuantization& quantization,
                              const std::vector<const MappedFile*>& files, InputOrders& orders);

// Outputs [first, first + n) of it.
StoredTensor cut_int4_tensor(const StoredTensor& whole, int64_t first, int64_t n);

}  // namespace prefold
