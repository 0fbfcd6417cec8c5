#include "model/lora.h"

#include <filesystem>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "kernels/cpu/kernels.h"
#include "model/gguf.h"
#include "model/lora_gguf.h"
#include "model/lora_peft.h"
#include "ops/linear.h"

namespace prefold {
namespace {

// The stored row that holds row `row` of the change.
int64_t stored_row(const LoraMatrix& matrix, int64_t row, int64_t head_dim) {
  const int64_t head = row / head_dim * head_dim, half = head_dim / 2;
  int64_t in_head = row % head_dim;
  if (matrix.order == HeadOrder::kHalvesToPairs) in_head = in_head % 2 * half + in_head / 2;
  if (matrix.order == HeadOrder::kPairsToHalves) in_head = in_head % half * 2 + in_head / half;
  const int64_t theirs = head + in_head;
  return matrix.first_row + theirs / matrix.run_rows * matrix.stride_rows +
         theirs % matrix.run_rows;
}

// Rows of a stored matrix of any type, in f32.
std::vector<float> read_rows(const LoraFile& file, const StoredTensor& tensor,
                             std::span<const int32_t> rows, ThreadPool& pool) {
  const auto n_rows = static_cast<int32_t>(tensor.shape[0]);
  const auto n_cols = static_cast<int32_t>(tensor.shape[1]);
  const std::span<const std::byte> bytes =
      file.files[static_cast<size_t>(tensor.file)].bytes().subspan(tensor.offset, tensor.n_bytes);
  const PackedMatrix packed(tensor.type, bytes, n_rows, n_cols, pool);
  std::vector<float> values(rows.size() * static_cast<size_t>(n_cols));
  const Device device{&pool, &find_cpu_kernels("auto")};
  gather_rows(device, packed, rows,
              {values.data(), static_cast<int32_t>(rows.size()), n_cols, n_cols});
  return values;
}

}  // namespace

LoraFile open_lora(const std::string& path, const ModelFile& model) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return open_peft_lora(path, model);
  MappedFile file(path);
  if (is_gguf(file.bytes())) return open_gguf_lora(std::move(file), model);
  throw FormatError(fmt::format(
      "{}: is no adapter; wanted a GGUF file, or a folder with adapter_config.json", path));
}

LoraValues read_lora(const LoraFile& file, const LoraMatrix& matrix, const ModelConfig& config,
                     ThreadPool& pool) {
  std::vector<int32_t> rows(static_cast<size_t>(matrix.rank));
  std::iota(rows.begin(), rows.end(), 0);
  LoraValues values;
  values.a = read_rows(file, matrix.a, rows, pool);
  rows.resize(static_cast<size_t>(lora_shape(config, matrix.layer, matrix.site).n_out));
  for (size_t row = 0; row < rows.size(); ++row) {
    rows[row] =
        static_cast<int32_t>(stored_row(matrix, static_cast<int64_t>(row), config.head_dim));
    CHECK(rows[row] < matrix.b.shape[0]);
  }
  values.b = read_rows(file, matrix.b, rows, pool);
  for (float& value : values.b) value *= matrix.scale;
  return values;
}

}  // namespace prefold
