#include "cuda/embedding_rows.h"

#include <algorithm>

#include "base/check.h"
#include "cuda/error.h"

namespace prefold::cuda {
namespace {

// How many elements of each array the limits ask for.
struct Sizes {
  explicit Sizes(const EmbeddingLimits& limits)
      : rows(2 * static_cast<size_t>(limits.max_rows)),  // of sums, and by themselves
        normed(rows * limits.n_cols),
        batch(std::min<size_t>(rows, EmbeddingRows::kBatchRows) * limits.n_cols) {}

  size_t rows, normed, batch;
};

}  // namespace

size_t embedding_device_bytes(const EmbeddingLimits& limits) {
  const Sizes n(limits);
  return arena_bytes(n.rows * sizeof(int32_t)) + arena_bytes(n.batch * sizeof(float));
}

size_t embedding_pinned_bytes(const EmbeddingLimits& limits) {
  const Sizes n(limits);
  return EmbeddingRows::kMaxSteps *
         (arena_bytes(n.rows * sizeof(int32_t)) + arena_bytes(n.normed * sizeof(float)));
}

EmbeddingRows::EmbeddingRows(const EmbeddingLimits& limits, DeviceArena& device,
                             PinnedArena& pinned)
    : limits_(limits) {
  const Sizes n(limits);
  device_rows_ = device.take<int32_t>(n.rows);
  device_normed_ = device.take<float>(n.batch);
  for (Step& step : steps_) {
    step.pinned_rows = pinned.take<int32_t>(n.rows);
    step.pinned_normed = pinned.take<float>(n.normed);
    step.sums.reserve(limits.max_rows);
    step.embeds.reserve(limits.max_rows);
  }
}

void EmbeddingRows::begin_step(const StepPlan& plan, std::span<const int32_t> place,
                               cudaStream_t stream) {
  CHECK(n_begun_ - n_taken_ < kMaxSteps);
  Step& step = steps_[n_begun_++ % kMaxSteps];
  step.sums.assign(plan.sums.begin(), plan.sums.end());
  step.embeds.assign(plan.embeds.begin(), plan.embeds.end());
  step.n_rows = 0;
  const auto add = [&](int32_t row) {
    CHECK(step.n_rows < 2 * limits_.max_rows);
    step.pinned_rows[step.n_rows++] = place.empty() ? row : place[row];
  };
  for (const SumRows& sum : step.sums) {
    for (int32_t i = 0; i < sum.n_rows; ++i) add(sum.first_row + i);
  }
  for (const EmbedRow& embed : step.embeds) {
    if (embed.sum_slot == EmbedRow::kNoSum) add(embed.row);
  }
  if (step.n_rows == 0) return;
  check_cuda("copy of a step's embedding rows",
             cudaMemcpyAsync(device_rows_, step.pinned_rows, step.n_rows * sizeof(int32_t),
                             cudaMemcpyHostToDevice, stream));
}

void EmbeddingRows::copy_batch(int32_t first, int32_t n_rows, cudaStream_t stream) {
  CHECK(n_rows <= kBatchRows && first + n_rows <= begun().n_rows);
  const size_t n_cols = limits_.n_cols;
  check_cuda("copy of a step's hidden states",
             cudaMemcpyAsync(begun().pinned_normed + first * n_cols, device_normed_,
                             n_rows * n_cols * sizeof(float), cudaMemcpyDeviceToHost, stream));
}

void EmbeddingRows::take_results(StepResult& result) {
  CHECK(n_taken_ < n_begun_);
  const Step& step = steps_[n_taken_++ % kMaxSteps];
  const int32_t n_cols = limits_.n_cols;
  const float* next = step.pinned_normed;
  sums_.prepare(step.sums, n_cols);
  for (const SumRows& sum : step.sums) {
    sums_.add(sum, next, n_cols, 0, n_cols);
    next += static_cast<int64_t>(sum.n_rows) * n_cols;
  }
  result.embeds.clear();
  for (const EmbedRow& embed : step.embeds) {
    if (embed.sum_slot == EmbedRow::kNoSum) {
      result.embeds.emplace_back(next, next + n_cols);
      next += n_cols;
    } else {
      const std::vector<double>& sum = sums_.of(embed.sum_slot);
      result.embeds.emplace_back(sum.begin(), sum.end());
    }
  }
}

}  // namespace prefold::cuda
