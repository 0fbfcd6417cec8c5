// Damaged model files: whatever a file holds, opening it ends in a model or in a prefold::Error.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "base/error.h"
#include "gguf_builder.h"
#include "model/inspect.h"
#include "model/model_file.h"
#include "model/rope.h"
#include "temp_file.h"

namespace prefold {
namespace {

enum class Outcome { kModel, kError };

// Opens and uses all that later steps read without the weights.
Outcome try_open(const std::string& path) {
  try {
    const ModelFile model = open_model(path);
    CHECK(!render_inspection(model).empty());
    make_rope_tables(model.config, 4, 4);
    return Outcome::kModel;
  } catch (const Error& error) {
    CHECK(std::string(error.what()).size() < 2000);
    return Outcome::kError;
  }
}

std::string read_tiny_model() {
  std::ifstream file("tests/data/gguf/tiny.gguf", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Header, metadata and table of tensors: all but the last tensors' bytes.
size_t metadata_bytes(const std::string& content) {
  return parse_gguf("tiny.gguf", std::as_bytes(std::span(content))).tensors.front().offset;
}

TEST_CASE("a model cut off at any place is refused") {
  const std::string content = read_tiny_model();
  const size_t n_metadata = metadata_bytes(content);
  const TempFile file(content);
  for (size_t n_bytes = content.size() - 1; n_bytes > 0;) {
    REQUIRE(truncate(file.path().c_str(), static_cast<off_t>(n_bytes)) == 0);
    CAPTURE(n_bytes);
    REQUIRE(try_open(file.path()) == Outcome::kError);
    // Every length of the metadata, one in 97 of the weights'.
    n_bytes -= n_bytes > n_metadata + 97 ? 97 : 1;
  }
}

TEST_CASE("a model with any one byte of its metadata changed opens or is refused") {
  const std::string content = read_tiny_model();
  const size_t n_metadata = metadata_bytes(content);
  const TempFile file(content);
  const int fd = open(file.path().c_str(), O_WRONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  int n_errors = 0;
  for (size_t i = 0; i < n_metadata; ++i) {
    const auto original = static_cast<unsigned char>(content[i]);
    for (const int changed : {0x00, 0xff, 0x80, original ^ 0x01, original + 1}) {
      const char byte = static_cast<char>(changed);
      REQUIRE(pwrite(fd, &byte, 1, static_cast<off_t>(i)) == 1);
      CAPTURE(i);
      if (try_open(file.path()) == Outcome::kError) ++n_errors;
    }
    REQUIRE(pwrite(fd, &content[i], 1, static_cast<off_t>(i)) == 1);
  }
  close(fd);
  CHECK(n_errors > static_cast<int>(n_metadata));  // most changes matter
  CHECK(try_open(file.path()) == Outcome::kModel);
}

TEST_CASE("any eight bytes of the metadata as a huge number open or are refused") {
  const std::string content = read_tiny_model();
  const size_t n_metadata = metadata_bytes(content);
  const TempFile file(content);
  const int fd = open(file.path().c_str(), O_WRONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  for (size_t i = 0; i + 8 <= n_metadata; ++i) {
    for (const uint64_t number : {~uint64_t{0}, uint64_t{1} << 63, uint64_t{1} << 32}) {
      REQUIRE(pwrite(fd, &number, 8, static_cast<off_t>(i)) == 8);
      CAPTURE(i);
      try_open(file.path());
    }
    REQUIRE(pwrite(fd, content.data() + i, 8, static_cast<off_t>(i)) == 8);
  }
  close(fd);
  CHECK(try_open(file.path()) == Outcome::kModel);
}

TEST_CASE("weights that are not numbers do not keep a model from opening") {
  GgufBuilder b = tiny_llama();
  std::string& norm = b.tensor("output_norm.weight").bytes;
  norm.assign(norm.size(), '\xff');
  const TempFile file(b.build());
  CHECK(try_open(file.path()) == Outcome::kModel);
  b.add_tensor("rope_freqs.weight", {4}, TensorType::kF32).bytes.assign(16, '\0');
  const TempFile zero_factors(b.build());
  CHECK(try_open(zero_factors.path()) == Outcome::kError);
}

}  // namespace
}  // namespace prefold
