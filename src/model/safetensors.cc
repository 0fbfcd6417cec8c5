#include "model/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "model/gguf.h"
#include "model/json_object.h"

namespace prefold {
namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors are read in place");

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // of the reference reader
constexpr std::string_view kSingleName = "model.safetensors";
constexpr std::string_view kIndexName = "model.safetensors.index.json";

struct TypeInfo {
  std::string_view name;
  int64_t n_bytes;
};
constexpr std::array<TypeInfo, 15> kTypes{{{"BOOL", 1},
                                           {"U8", 1},
                                           {"I8", 1},
                                           {"F8_E5M2", 1},
                                           {"F8_E4M3", 1},
                                           {"I16", 2},
                                           {"U16", 2},
                                           {"F16", 2},
                                           {"BF16", 2},
                                           {"I32", 4},
                                           {"U32", 4},
                                           {"F32", 4},
                                           {"F64", 8},
                                           {"I64", 8},
                                           {"U64", 8}}};

[[noreturn]] void throw_tensor(const std::string& path, std::string_view name,
                               const std::string& message) {
  throw FormatError(fmt::format("{}: tensor \"{}\" {}", path, printable(name), message));
}

SafetensorsType read_type(const std::string& path, std::string_view name, const Json& entry) {
  const auto found = entry.find("dtype");
  if (found == entry.end() || !found->is_string()) throw_tensor(path, name, "has no \"dtype\"");
  const std::string& text = found->get_ref<const std::string&>();
  for (size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i].name == text) return static_cast<SafetensorsType>(i);
  }
  throw_tensor(path, name,
               fmt::format("has \"dtype\" \"{}\", which is not supported (F32, F16 and BF16 are)",
                           printable(text)));
}

// Non-negative integers.
std::vector<int64_t> read_sizes(const std::string& path, std::string_view name, const Json& entry,
                                const char* key) {
  const auto found = entry.find(key);
  if (found == entry.end() || !found->is_array()) {
    throw_tensor(path, name, fmt::format("has no array \"{}\"", key));
  }
  std::vector<int64_t> sizes;
  for (const Json& size : *found) {
    if (!size.is_number_unsigned() || size.get<uint64_t>() > uint64_t{1} << 60) {
      throw_tensor(path, name,
                   fmt::format("has \"{}\" {}; wanted integers from 0 to 2^60", key,
                               printable(found->dump())));
    }
    sizes.push_back(size.get<int64_t>());
  }
  return sizes;
}

SafetensorsEntry read_entry(const std::string& path, const std::string& name, const Json& entry,
                            uint64_t data_begin, uint64_t data_bytes) {
  if (!entry.is_object()) throw_tensor(path, name, "is no object in the header");
  SafetensorsEntry result;
  result.name = name;
  result.type = read_type(path, name, entry);
  result.shape = read_sizes(path, name, entry, "shape");
  const std::vector<int64_t> range = read_sizes(path, name, entry, "data_offsets");
  if (range.size() != 2 || range[0] > range[1]) {
    throw_tensor(path, name, "has no \"data_offsets\" of a begin and an end after it");
  }
  if (static_cast<uint64_t>(range[1]) > data_bytes) {
    throw_tensor(path, name,
                 fmt::format("ends at byte {} of the data, which has {}; is the file truncated?",
                             range[1], data_bytes));
  }
  int64_t n_bytes = kTypes[static_cast<size_t>(result.type)].n_bytes;
  for (const int64_t size : result.shape) {
    if (size != 0 && n_bytes > (int64_t{1} << 60) / size) {
      throw_tensor(path, name, "has a shape that no file can hold");
    }
    n_bytes *= size;
  }
  if (n_bytes != range[1] - range[0]) {
    throw_tensor(path, name,
                 fmt::format("takes {} bytes by \"dtype\" and \"shape\", {} by \"data_offsets\"",
                             n_bytes, range[1] - range[0]));
  }
  result.offset = static_cast<size_t>(data_begin) + static_cast<size_t>(range[0]);
  result.n_bytes = static_cast<size_t>(n_bytes);
  return result;
}

// Shared bytes would let a small file ask for any amount of memory; the format forbids holes too.
void check_contiguous(const std::string& path, const std::vector<SafetensorsEntry>& entries,
                      size_t data_begin, size_t file_bytes) {
  size_t at = data_begin;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.offset != at) {
      throw_tensor(
          path, entry.name,
          fmt::format("begins at offset {}; the bytes before it end at {}", entry.offset, at));
    }
    at += entry.n_bytes;
  }
  if (at != file_bytes) {
    throw FormatError(fmt::format("{}: the tensors end at offset {}; the file has {} bytes", path,
                                  at, file_bytes));
  }
}

// Only the name of a file in the folder itself will do.
void check_shard_name(const std::string& path, const std::string& name) {
  const bool is_plain = name.find('/') == std::string::npos &&
                        name.find('\\') == std::string::npos &&
                        name.find('\0') == std::string::npos && name.ends_with(".safetensors") &&
                        !name.starts_with(".");
  if (is_plain) return;
  throw FormatError(fmt::format(
      "{}: \"weight_map\" names \"{}\"; wanted names of .safetensors files in the same folder",
      path, printable(name)));
}

bool is_file(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

SafetensorsFiles read_index(const std::string& folder, const std::string& path) {
  const Json root = parse_json_object(path, read_text_file(path));
  const auto map = root.find("weight_map");
  if (map == root.end() || !map->is_object() || map->empty()) {
    throw FormatError(fmt::format("{}: has no \"weight_map\" from tensors to files", path));
  }
  std::set<std::string> names;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) {
      throw FormatError(fmt::format("{}: \"weight_map\" gives no file's name for \"{}\"", path,
                                    printable(tensor)));
    }
    check_shard_name(path, file.get_ref<const std::string&>());
    names.insert(file.get<std::string>());
  }
  std::string missing;
  for (const std::string& name : names) {
    if (is_file(std::filesystem::path(folder) / name)) continue;
    missing += fmt::format("{}{}", missing.empty() ? "" : ", ", printable(name));
  }
  if (!missing.empty()) {
    throw Error(fmt::format("{}: these files that it names are missing: {}", path, missing));
  }
  SafetensorsFiles files;
  files.names.assign(names.begin(), names.end());
  for (const auto& [tensor, file] : map->items()) {
    const auto found = std::lower_bound(files.names.begin(), files.names.end(),
                                        file.get_ref<const std::string&>());
    files.weight_map.push_back({tensor, static_cast<size_t>(found - files.names.begin())});
  }
  return files;
}

}  // namespace

std::string_view name_of(SafetensorsType type) { return kTypes[static_cast<size_t>(type)].name; }

std::optional<TensorType> float_tensor_type(SafetensorsType type) {
  switch (type) {
    case SafetensorsType::kF32:
      return TensorType::kF32;
    case SafetensorsType::kF16:
      return TensorType::kF16;
    case SafetensorsType::kBF16:
      return TensorType::kBF16;
    default:
      return std::nullopt;
  }
}

std::vector<SafetensorsEntry> parse_safetensors(const std::string& path,
                                                std::span<const std::byte> bytes) {
  uint64_t header_bytes = 0;
  if (bytes.size() >= kLengthBytes) std::memcpy(&header_bytes, bytes.data(), kLengthBytes);
  if (bytes.size() < kLengthBytes || header_bytes > bytes.size() - kLengthBytes ||
      header_bytes > kMaxHeaderBytes) {
    throw FormatError(
        fmt::format("{}: claims a header of {} bytes; the file has {} and a header at most {}",
                    path, header_bytes, bytes.size(), kMaxHeaderBytes));
  }
  const uint64_t data_begin = kLengthBytes + header_bytes;
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes,
                                static_cast<size_t>(header_bytes));
  const Json root = parse_json_object(path, header);
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, entry] : root.items()) {
    if (name == "__metadata__") continue;
    entries.push_back(read_entry(path, name, entry, data_begin, bytes.size() - data_begin));
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::pair(a.offset, a.n_bytes) < std::pair(b.offset, b.n_bytes);
  });
  check_contiguous(path, entries, static_cast<size_t>(data_begin), bytes.size());
  return entries;
}

// What to do about weights in a format whose reading can run any program.
constexpr std::string_view kFromPickle =
    ". Its pytorch_model.bin is not read, as it can hold any program; if you trust it, convert it "
    "in "
    "Python: from transformers import AutoModelForCausalLM; "
    "AutoModelForCausalLM.from_pretrained(\"{0}\", dtype=\"auto\").save_pretrained(\"{0}\")";

SafetensorsFiles find_safetensors(const std::string& folder) {
  const std::filesystem::path base(folder);
  if (is_file(base / kIndexName)) return read_index(folder, (base / kIndexName).string());
  if (is_file(base / kSingleName)) return {{std::string(kSingleName)}, {}};
  const bool is_pickled =
      is_file(base / "pytorch_model.bin") || is_file(base / "pytorch_model.bin.index.json");
  throw Error(fmt::format("{}: has neither {} nor {}{}", folder, kSingleName, kIndexName,
                          is_pickled ? fmt::format(kFromPickle, folder) : ""));
}

}  // namespace prefold
