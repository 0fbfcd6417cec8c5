// Writes safetensors files for tests, valid or faulty in one chosen place.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace prefold {

struct BuiltTensor {
  std::string name;
  std::string type;  // "F32"
  std::vector<int64_t> shape;
  std::string bytes;
};

inline std::string safetensors_with_header(const std::string& header, std::string_view data) {
  const uint64_t n = header.size();
  std::string out(sizeof(n), '\0');
  std::memcpy(out.data(), &n, sizeof(n));
  return out + header + std::string(data);
}

inline std::string build_safetensors(const std::vector<BuiltTensor>& tensors) {
  std::string header = R"({"__metadata__":{"format":"pt"})";
  std::string data;
  for (const BuiltTensor& tensor : tensors) {
    std::string shape;
    for (const int64_t size : tensor.shape) {
      shape += (shape.empty() ? "" : ",") + std::to_string(size);
    }
    header += ",\"" + tensor.name + R"(":{"dtype":")" + tensor.type + R"(","shape":[)" + shape +
              R"(],"data_offsets":[)" + std::to_string(data.size()) + "," +
              std::to_string(data.size() + tensor.bytes.size()) + "]}";
    data += tensor.bytes;
  }
  return safetensors_with_header(header + "}", data);
}

template <typename T>
std::string bytes_of_values(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

}  // namespace prefold
