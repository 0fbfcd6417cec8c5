#include "model/lora_layer.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "model/buffers.h"
#include "ops/grouped_linear.h"

namespace prefold {

size_t LoraBuffers::bytes() const {
  return sizeof(int32_t) * (first.capacity() + matrix.capacity()) + sizeof(float) * shrunk.size();
}

LoraBuffers allocate_lora_buffers(const Adapters& adapters, int32_t max_rows) {
  LoraBuffers buffers;
  if (adapters.n == 0) return buffers;
  buffers.max_rank = adapters.max_rank;
  const size_t most_groups = 2 * static_cast<size_t>(adapters.n) + 1;  // and rows in between
  buffers.first.reserve(most_groups + 1);
  buffers.matrix.reserve(most_groups);
  buffers.shrunk.resize(floats_of(max_rows, int64_t{kMaxLoraParts} * adapters.max_rank));
  return buffers;
}

size_t lora_scratch_bytes(const Device& device, const Adapters& adapters, int32_t max_rows,
                          int32_t max_in) {
  if (adapters.n == 0) return 0;
  return grouped_linear_scratch_bytes(
      device, max_rows, std::max(max_in, kMaxLoraParts * adapters.max_rank), GroupedRows::kInPlace);
}

void group_adapter_rows(std::span<const AdapterRows> rows, int32_t n_rows, LoraBuffers& buffers) {
  buffers.matrix.clear();
  if (rows.empty()) return;
  buffers.first.assign(1, 0);
  const auto add_group = [&](int32_t matrix, int32_t end_row) {
    if (end_row == buffers.first.back()) return;
    buffers.matrix.push_back(matrix);
    buffers.first.push_back(end_row);
  };
  for (const AdapterRows& run : rows) {
    CHECK(run.first_row >= buffers.first.back());
    add_group(0, run.first_row);
    add_group(run.adapter + 1, run.first_row + run.n_rows);
  }
  add_group(0, n_rows);
}

void add_lora(const Device& device, ConstRows x, std::span<const LoraPart> parts,
              LoraBuffers& buffers, std::span<std::byte> scratch) {
  if (buffers.matrix.empty()) return;
  CHECK(parts.size() <= kMaxLoraParts && buffers.first.back() == x.n_rows);
  const int32_t max_rank = buffers.max_rank;
  const Rows shrunk = view(buffers.shrunk, x.n_rows, kMaxLoraParts * max_rank);
  std::array<GroupedPart, kMaxLoraParts> shrink, expand;
  size_t n = 0;
  for (const LoraPart& part : parts) {
    if (part.matrix->a.empty()) continue;
    const int32_t first = static_cast<int32_t>(n) * max_rank;
    shrink[n] = {part.matrix->a, {shrunk.data + first, shrunk.n_rows, max_rank, shrunk.stride}};
    expand[n] = {part.matrix->b, part.out, true, first};
    ++n;
  }
  if (n == 0) return;
  const RowGroups groups{buffers.first, buffers.matrix, {}};
  grouped_linear(device, x, groups, std::span(shrink).first(n), scratch);
  grouped_linear(device, shrunk, groups, std::span(expand).first(n), scratch);
}

}  // namespace prefold
