#include "model/hf_quantization.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "model/gguf.h"
#include "model/model_limits.h"

namespace prefold {
namespace {

constexpr int32_t kPerWord = 8;  // 4-bit numbers in an int32

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return text;
}

void read_gptq(const JsonObject& json, HfQuantization& result) {
  result.packing = Int4Source::Packing::kGptq;
  const std::string format = json.find_string("checkpoint_format").value_or("gptq");
  if (format != "gptq" && format != "gptq_v2") {
    json.throw_unexpected("checkpoint_format", "supported are \"gptq\" and \"gptq_v2\"");
  }
  result.zero_offset = format == "gptq" ? 1 : 0;
}

void read_awq(const JsonObject& json, HfQuantization& result) {
  result.packing = Int4Source::Packing::kAwq;
  const std::string version = lower(json.find_string("version").value_or("gemm"));
  if (version != "gemm") json.throw_unexpected("version", "supported is \"gemm\"");
  if (json.find_bool("zero_point") == false) {
    json.throw_unexpected("zero_point", "AWQ without zero points is not supported");
  }
}

struct Wanted {
  const SafetensorsEntry* entry;
  std::string_view ending;
  SafetensorsType type;
  std::vector<int64_t> shape;
};

void check_part(const std::string& path, const std::string& name, const Wanted& wanted) {
  const SafetensorsEntry& entry = *wanted.entry;
  if (entry.type == wanted.type && entry.shape == wanted.shape) return;
  throw FormatError(fmt::format("{}: tensor \"{}{}\" is {} of shape ({}); wanted {} of shape ({})",
                                path, printable(name), wanted.ending, name_of(entry.type),
                                fmt::join(entry.shape, ", "), name_of(wanted.type),
                                fmt::join(wanted.shape, ", ")));
}

// The inputs by their groups, and in a group by their number. Null if groups are runs of
// neighbours.
InputOrder read_input_order(const std::string& path, const std::string& name, int32_t group,
                            const SafetensorsEntry& entry, const MappedFile& file, int64_t n_in,
                            InputOrders& orders) {
  if (entry.shape == std::vector<int64_t>{0}) return nullptr;
  check_part(path, name, {&entry, ".g_idx", SafetensorsType::kI32, {n_in}});
  std::vector<int32_t> group_of(static_cast<size_t>(n_in));
  std::memcpy(group_of.data(), file.bytes().data() + entry.offset,
              group_of.size() * sizeof(int32_t));
  const auto n_groups = static_cast<int32_t>(n_in / group);
  std::vector<int32_t> sizes(static_cast<size_t>(n_groups), 0);
  for (size_t k = 0; k < group_of.size(); ++k) {
    const int32_t idx = group_of[k];
    if (idx >= 0 && idx < n_groups) {
      ++sizes[static_cast<size_t>(idx)];
      continue;
    }
    throw FormatError(fmt::format("{}: tensor \"{}.g_idx\" puts input {} into group {} of {}", path,
                                  printable(name), k, idx, n_groups));
  }
  const auto odd = std::find_if(sizes.begin(), sizes.end(), [&](int32_t n) { return n != group; });
  if (odd != sizes.end()) {
    throw FormatError(fmt::format("{}: tensor \"{}.g_idx\" puts {} inputs into group {}; wanted {}",
                                  path, printable(name), *odd, odd - sizes.begin(), group));
  }
  if (std::is_sorted(group_of.begin(), group_of.end())) return nullptr;
  std::vector<int32_t> order(group_of.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return group_of[static_cast<size_t>(a)] < group_of[static_cast<size_t>(b)];
  });
  return *orders.insert(std::make_shared<const std::vector<int32_t>>(std::move(order))).first;
}

TensorType int4_type(const std::string& path, const std::string& name, int64_t group) {
  if (group % 128 == 0) return TensorType::kInt4_128;
  if (group % 64 == 0) return TensorType::kInt4_64;
  if (group % 32 == 0) return TensorType::kInt4_32;
  throw FormatError(
      fmt::format("{}: tensor \"{}\" has groups of {} inputs; wanted a multiple of 32", path,
                  printable(name), group));
}

}  // namespace

HfQuantization read_hf_quantization(const JsonObject& config) {
  HfQuantization result;
  const auto json = config.find_object("quantization_config");
  if (!json) return result;
  result.is_quantised = true;
  const std::string method = lower(json->find_string("quant_method").value_or(""));
  if (method == "gptq") {
    read_gptq(*json, result);
  } else if (method == "awq") {
    read_awq(*json, result);
  } else {
    json->throw_unexpected("quant_method", "supported are \"gptq\" and \"awq\"");
  }
  const std::string_view bits_key = json->has("w_bit") ? "w_bit" : "bits";
  if (json->find_int(bits_key, 1, 64) != 4) {
    json->throw_unexpected(bits_key, "only checkpoints of 4 bits are supported");
  }
  const std::string_view group_key = json->has("q_group_size") ? "q_group_size" : "group_size";
  const auto group = json->find_int(group_key, -1, kMaxFfn);
  if (!group || *group == 0) json->throw_unexpected(group_key, "wanted -1 or a multiple of 32");
  result.group_size = static_cast<int32_t>(*group);
  return result;
}

StoredTensor make_int4_tensor(const std::string& path, const std::string& name,
                              const QuantisedParts& parts, const HfQuantization& quantization,
                              const std::vector<const MappedFile*>& files, InputOrders& orders) {
  for (const auto& [part, ending] :
       {std::pair(parts.quants, "qweight"), {parts.zeros, "qzeros"}, {parts.scales, "scales"}}) {
    if (part != nullptr) continue;
    throw FormatError(
        fmt::format("{}: tensor \"{}.{}\" is missing", path, printable(name), ending));
  }
  const bool is_gptq = quantization.packing == Int4Source::Packing::kGptq;
  const std::vector<int64_t>& shape = parts.quants->shape;
  const bool fits = shape.size() == 2 && shape[0] >= 1 && shape[1] >= 1 && shape[0] <= kMaxFfn &&
                    shape[1] <= kMaxVocab;
  if (!fits) {
    throw FormatError(fmt::format("{}: tensor \"{}.qweight\" has shape ({}); wanted a matrix", path,
                                  printable(name), fmt::join(shape, ", ")));
  }
  const int64_t n_in = is_gptq ? shape[0] * kPerWord : shape[0];
  const int64_t n_out = is_gptq ? shape[1] : shape[1] * kPerWord;
  const int64_t group = quantization.group_size < 0 ? n_in : quantization.group_size;
  if (n_in % group != 0 || n_out % kPerWord != 0) {
    throw FormatError(
        fmt::format("{}: tensor \"{}\" has {} inputs in groups of {}, and {} outputs; wanted whole "
                    "groups, and a multiple of {} outputs",
                    path, printable(name), n_in, group, n_out, kPerWord));
  }
  check_part(path, name, {parts.quants, ".qweight", SafetensorsType::kI32, shape});
  check_part(path, name,
             {parts.zeros, ".qzeros", SafetensorsType::kI32, {n_in / group, n_out / kPerWord}});
  check_part(path, name, {parts.scales, ".scales", SafetensorsType::kF16, {n_in / group, n_out}});
  const auto place = [](const SafetensorsEntry& entry, int32_t file) {
    return StoredPlace{file, entry.offset, entry.n_bytes};
  };
  Int4Source source;
  source.packing = quantization.packing;
  source.group = static_cast<int32_t>(group);
  source.zero_offset = quantization.zero_offset;
  source.n_stored_out = static_cast<int32_t>(n_out);
  source.quants = place(*parts.quants, parts.quants_file);
  source.zeros = place(*parts.zeros, parts.zeros_file);
  source.scales = place(*parts.scales, parts.scales_file);
  if (parts.group_idx != nullptr) {
    source.input_order =
        read_input_order(path, name, source.group, *parts.group_idx,
                         *files[static_cast<size_t>(parts.group_idx_file)], n_in, orders);
  }
  StoredTensor tensor;
  tensor.name = name;
  tensor.type = int4_type(path, name, group);
  tensor.shape = {n_out, n_in};
  tensor.file = source.quants.file;
  tensor.offset = source.quants.offset;
  tensor.n_bytes = source.quants.n_bytes;
  tensor.transform = TensorTransform::kInt4;
  tensor.int4 = std::make_shared<const Int4Source>(source);
  return tensor;
}

StoredTensor cut_int4_tensor(const StoredTensor& whole, int64_t first, int64_t n) {
  StoredTensor part = whole;
  Int4Source source = *whole.int4;
  source.first_out += static_cast<int32_t>(first);
  part.shape[0] = n;
  part.int4 = std::make_shared<const Int4Source>(source);
  return part;
}

}  // namespace prefold
