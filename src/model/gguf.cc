#include "model/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <optional>

#include "base/error.h"
#include "model/gguf_reader.h"

namespace prefold {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read in place");

constexpr std::string_view kMagic = "GGUF";
constexpr uint64_t kMaxKeyBytes = 65535;  // both from the specification
constexpr uint64_t kMaxTensorNameBytes = 64;
constexpr uint32_t kMaxDimensions = 4;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = 1 << 20;
// The least a metadata entry (key length, type, one byte) and a tensor entry (name length, number
// of dimensions, one dimension, type, offset) can take: bounds their count before any allocation.
constexpr uint64_t kMinEntryBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 8 + 4 + 8;

struct TypeInfo {
  std::string_view name;
  uint32_t n_bytes;  // 0: no fixed size
};
constexpr std::array<TypeInfo, 13> kTypes{{{"u8", 1},
                                           {"i8", 1},
                                           {"u16", 2},
                                           {"i16", 2},
                                           {"u32", 4},
                                           {"i32", 4},
                                           {"f32", 4},
                                           {"bool", 1},
                                           {"string", 0},
                                           {"array", 0},
                                           {"u64", 8},
                                           {"i64", 8},
                                           {"f64", 8}}};

GgufType read_type(GgufReader& reader, std::string_view key) {
  const auto number = reader.read<uint32_t>("a value type");
  if (number >= kTypes.size()) {
    throw FormatError(fmt::format("{}: \"{}\" has value type {}; GGUF has types 0 to {}",
                                  reader.path(), printable(key), number, kTypes.size() - 1));
  }
  return static_cast<GgufType>(number);
}

bool read_bool(GgufReader& reader, std::string_view key) {
  const auto byte = reader.read<uint8_t>("a bool");
  if (byte > 1) {
    throw FormatError(fmt::format("{}: \"{}\" is a bool of value {}; wanted 0 or 1", reader.path(),
                                  printable(key), byte));
  }
  return byte == 1;
}

GgufArray read_array(GgufReader& reader, std::span<const std::byte> file, std::string_view key) {
  GgufArray array;
  array.element_type = read_type(reader, key);
  array.count = reader.read<uint64_t>("an array's length");
  if (array.element_type == GgufType::kArray) {
    throw FormatError(fmt::format("{}: \"{}\" is an array of arrays, which is not supported",
                                  reader.path(), printable(key)));
  }
  const uint32_t fixed_bytes = kTypes[static_cast<size_t>(array.element_type)].n_bytes;
  const uint64_t least_bytes = fixed_bytes != 0 ? fixed_bytes : sizeof(uint64_t);
  if (array.count > reader.n_left() / least_bytes) {
    throw FormatError(fmt::format(
        "{}: \"{}\" claims {} elements of type {}, more than the {} bytes left in the file hold",
        reader.path(), printable(key), array.count, name_of(array.element_type), reader.n_left()));
  }
  const size_t begin = reader.position();
  if (fixed_bytes != 0) {
    reader.read_bytes(array.count * fixed_bytes, "an array");
  } else {
    for (uint64_t i = 0; i < array.count; ++i) reader.read_string("a string of an array");
  }
  array.bytes = file.subspan(begin, reader.position() - begin);
  return array;
}

GgufValue read_value(GgufReader& reader, std::span<const std::byte> file, GgufType type,
                     std::string_view key) {
  switch (type) {
    case GgufType::kUint8:
      return uint64_t{reader.read<uint8_t>("a u8")};
    case GgufType::kInt8:
      return int64_t{reader.read<int8_t>("an i8")};
    case GgufType::kUint16:
      return uint64_t{reader.read<uint16_t>("a u16")};
    case GgufType::kInt16:
      return int64_t{reader.read<int16_t>("an i16")};
    case GgufType::kUint32:
      return uint64_t{reader.read<uint32_t>("a u32")};
    case GgufType::kInt32:
      return int64_t{reader.read<int32_t>("an i32")};
    case GgufType::kFloat32:
      return double{reader.read<float>("an f32")};
    case GgufType::kBool:
      return read_bool(reader, key);
    case GgufType::kString:
      return reader.read_string("a string value");
    case GgufType::kArray:
      return read_array(reader, file, key);
    case GgufType::kUint64:
      return reader.read<uint64_t>("a u64");
    case GgufType::kInt64:
      return reader.read<int64_t>("an i64");
    case GgufType::kFloat64:
      return reader.read<double>("an f64");
  }
  return {};  // read_type lets nothing else through
}

GgufEntry read_entry(GgufReader& reader, std::span<const std::byte> file) {
  GgufEntry entry;
  const size_t position = reader.position();
  entry.key = reader.read_string("a metadata key");
  if (entry.key.empty() || entry.key.size() > kMaxKeyBytes) {
    throw FormatError(fmt::format("{}: the metadata key at offset {} has {} bytes; wanted 1 to {}",
                                  reader.path(), position, entry.key.size(), kMaxKeyBytes));
  }
  entry.type = read_type(reader, entry.key);
  entry.value = read_value(reader, file, entry.type, entry.key);
  return entry;
}

// The first name that occurs twice, if one does.
template <typename Item, typename NameOf>
std::optional<std::string_view> find_duplicate(const std::vector<Item>& items, NameOf name) {
  std::vector<std::string_view> names;
  names.reserve(items.size());
  for (const Item& item : items) names.push_back(name(item));
  std::sort(names.begin(), names.end());
  const auto found = std::adjacent_find(names.begin(), names.end());
  if (found == names.end()) return std::nullopt;
  return *found;
}

uint64_t alignment_of(const Gguf& gguf, const std::string& path) {
  for (const GgufEntry& entry : gguf.metadata) {
    if (entry.key != "general.alignment") continue;
    const auto* value = std::get_if<uint64_t>(&entry.value);
    if (value == nullptr || !std::has_single_bit(*value) || *value > kMaxAlignment) {
      throw FormatError(fmt::format(
          "{}: \"general.alignment\" is {}; wanted an unsigned power of two up to {}", path,
          value != nullptr ? std::to_string(*value) : "no such number", kMaxAlignment));
    }
    return *value;
  }
  return kDefaultAlignment;
}

// GGUF lists dimensions innermost first. Checks each, and that their product fits.
std::vector<int64_t> read_shape(GgufReader& reader, std::string_view name) {
  const auto n_dimensions = reader.read<uint32_t>("a tensor's number of dimensions");
  if (n_dimensions < 1 || n_dimensions > kMaxDimensions) {
    throw FormatError(fmt::format("{}: tensor \"{}\" has {} dimensions; wanted 1 to {}",
                                  reader.path(), name, n_dimensions, kMaxDimensions));
  }
  std::vector<int64_t> shape(n_dimensions);
  int64_t product = 1;
  for (size_t i = n_dimensions; i-- > 0;) {
    const auto size = reader.read<uint64_t>("a tensor's dimension");
    // An element takes a quarter of a byte or more, so 2^60 of them fit no file; and no sum of what
    // follows from the product can overflow.
    if (size < 1 || size > static_cast<uint64_t>((int64_t{1} << 60) / product)) {
      throw FormatError(
          fmt::format("{}: tensor \"{}\" has a dimension of {}, which no file can hold",
                      reader.path(), name, size));
    }
    shape[i] = static_cast<int64_t>(size);
    product *= shape[i];
  }
  return shape;
}

// The offset is left relative to the start of the tensor data.
StoredTensor read_tensor(GgufReader& reader) {
  StoredTensor tensor;
  const size_t position = reader.position();
  const std::string_view name = reader.read_string("a tensor name");
  if (name.empty() || name.size() > kMaxTensorNameBytes) {
    throw FormatError(fmt::format("{}: the tensor name at offset {} has {} bytes; wanted 1 to {}",
                                  reader.path(), position, name.size(), kMaxTensorNameBytes));
  }
  tensor.name = name;
  const std::string shown_name = printable(name);
  tensor.shape = read_shape(reader, shown_name);
  const auto type_number = reader.read<uint32_t>("a tensor's type");
  const TensorTypeTraits* traits = find_tensor_type(type_number);
  if (traits == nullptr) {
    throw FormatError(fmt::format(
        "{}: tensor \"{}\" has type number {}, which is not supported (F32, F16, BF16, Q4_0, Q4_1, "
        "Q5_0, Q5_1, Q8_0 and Q2_K to Q6_K are)",
        reader.path(), shown_name, type_number));
  }
  tensor.type = traits->type;
  if (tensor.shape.back() % traits->block_elements != 0) {
    throw FormatError(fmt::format(
        "{}: tensor \"{}\" has rows of {} elements; {} needs a multiple of {}", reader.path(),
        shown_name, tensor.shape.back(), traits->name, traits->block_elements));
  }
  tensor.n_bytes = static_cast<size_t>(stored_bytes(*traits, n_elements(tensor)));
  tensor.offset = static_cast<size_t>(reader.read<uint64_t>("a tensor's offset"));
  return tensor;
}

// Makes offsets absolute, having checked that each is aligned and each tensor inside the file.
void place_tensors(Gguf& gguf, const GgufReader& reader, uint64_t alignment) {
  const uint64_t file_bytes = reader.position() + reader.n_left();
  const uint64_t data_begin = (reader.position() + alignment - 1) / alignment * alignment;
  const uint64_t data_bytes = file_bytes > data_begin ? file_bytes - data_begin : 0;
  for (StoredTensor& tensor : gguf.tensors) {
    if (tensor.offset % alignment != 0) {
      throw FormatError(fmt::format("{}: tensor \"{}\" is at offset {}, no multiple of {}",
                                    reader.path(), printable(tensor.name), tensor.offset,
                                    alignment));
    }
    if (tensor.offset > data_bytes || tensor.n_bytes > data_bytes - tensor.offset) {
      throw FormatError(fmt::format(
          "{}: tensor \"{}\" needs {} bytes from offset {} of the tensor data, which has {}; is "
          "the "
          "file truncated?",
          reader.path(), printable(tensor.name), tensor.n_bytes, tensor.offset, data_bytes));
    }
    tensor.offset += data_begin;
  }
}

// Shared bytes would let a small file ask for any amount of memory.
void check_disjoint(const Gguf& gguf, const std::string& path) {
  std::vector<const StoredTensor*> by_offset;
  by_offset.reserve(gguf.tensors.size());
  for (const StoredTensor& tensor : gguf.tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(),
            [](const auto* a, const auto* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const StoredTensor& before = *by_offset[i - 1];
    if (before.offset + before.n_bytes > by_offset[i]->offset) {
      throw FormatError(fmt::format("{}: tensors \"{}\" and \"{}\" share bytes at offset {}", path,
                                    printable(before.name), printable(by_offset[i]->name),
                                    by_offset[i]->offset));
    }
  }
}

uint32_t read_version(GgufReader& reader) {
  const auto version = reader.read<uint32_t>("the version");
  if (version == 2 || version == 3) return version;
  if (version != 0 && (version & 0xffff) == 0) {
    throw FormatError(fmt::format(
        "{}: is a big-endian GGUF file; only little-endian ones are supported", reader.path()));
  }
  throw FormatError(fmt::format("{}: is GGUF version {}; versions 2 and 3 are supported",
                                reader.path(), version));
}

void check_count(const GgufReader& reader, uint64_t count, uint64_t least_bytes,
                 std::string_view what) {
  if (count <= reader.n_left() / least_bytes) return;
  throw FormatError(
      fmt::format("{}: the header claims {} {}, more than a file of {} bytes can hold",
                  reader.path(), count, what, reader.position() + reader.n_left()));
}

}  // namespace

std::string_view name_of(GgufType type) { return kTypes[static_cast<size_t>(type)].name; }

bool is_gguf(std::span<const std::byte> bytes) {
  return bytes.size() >= kMagic.size() &&
         std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
}

Gguf parse_gguf(const std::string& path, std::span<const std::byte> bytes) {
  GgufReader reader(path, bytes);
  if (!is_gguf(bytes)) throw FormatError(fmt::format("{}: is not a GGUF file", path));
  reader.read_bytes(kMagic.size(), "the magic");
  Gguf gguf;
  gguf.version = read_version(reader);
  const auto n_tensors = reader.read<uint64_t>("the number of tensors");
  const auto n_entries = reader.read<uint64_t>("the number of metadata entries");
  check_count(reader, n_tensors, kMinTensorBytes, "tensors");
  check_count(reader, n_entries, kMinEntryBytes, "metadata entries");

  for (uint64_t i = 0; i < n_entries; ++i) gguf.metadata.push_back(read_entry(reader, bytes));
  if (const auto key = find_duplicate(gguf.metadata, [](const GgufEntry& e) { return e.key; })) {
    throw FormatError(fmt::format("{}: metadata key \"{}\" occurs twice", path, printable(*key)));
  }
  const uint64_t alignment = alignment_of(gguf, path);

  for (uint64_t i = 0; i < n_tensors; ++i) gguf.tensors.push_back(read_tensor(reader));
  const auto name = [](const StoredTensor& t) { return std::string_view(t.name); };
  if (const auto twice = find_duplicate(gguf.tensors, name)) {
    throw FormatError(fmt::format("{}: tensor \"{}\" occurs twice", path, printable(*twice)));
  }
  place_tensors(gguf, reader, alignment);
  check_disjoint(gguf, path);
  return gguf;
}

std::vector<std::string> strings_of(const GgufArray& array) {
  std::vector<std::string> strings;
  strings.reserve(static_cast<size_t>(array.count));
  GgufReader reader("", array.bytes);
  for (uint64_t i = 0; i < array.count; ++i) strings.emplace_back(reader.read_string("a string"));
  return strings;
}

std::string printable(std::string_view text) {
  constexpr size_t kMaxShown = 64;
  std::string shown(text.substr(0, kMaxShown));
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = '?';
  }
  if (text.size() > kMaxShown) shown += "...";
  return shown;
}

}  // namespace prefold
