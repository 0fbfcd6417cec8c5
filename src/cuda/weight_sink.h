// Where a model's weights go on their way to device memory, piece by piece: counted only, or packed
// and copied as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "cuda/arena.h"
#include "cuda/weights.h"
#include "kernels/cuda/expert_gemm.h"
#include "model/model_file.h"

namespace prefold::cuda {

class WeightSink {
 public:
  using Tensors = std::span<const StoredTensor* const>;

  // Counts. What it returns has shapes without addresses.
  explicit WeightSink(FloatType activations) : activations_(activations) {}
  // Pages of the model's files are dropped as they are done with.
  WeightSink(FloatType activations, ThreadPool& pool, DeviceArena& arena)
      : activations_(activations), pool_(&pool), arena_(&arena) {}

  size_t n_bytes() const { return n_bytes_; }

  // Matrices of one format, as one whose outputs follow one another.
  DeviceMatrix matrix(const ModelFile& model, Tensors tensors);

  // The same for each expert; one allocation for all. Throws Error if their formats differ.
  DeviceExperts experts(const ModelFile& model,
                        std::span<const std::vector<const StoredTensor*>> tensors_of_experts);

  // Matrices of any types as a dense one, with outputs of zeros behind up to a multiple of 8.
  DeviceMatrix dense_matrix(const ModelFile& model, Tensors tensors);

  // Vectors, which follow one another; then zeros up to a multiple of 8, as matrices have them.
  const float* vector(const ModelFile& model, Tensors tensors);

  // Null if the order is.
  const int32_t* input_order(const InputOrder& order);

  // A matrix of any type in f32, row-major.
  const float* floats(const ModelFile& model, const StoredTensor& tensor);

 private:
  std::byte* take(size_t n_bytes);
  void pack(const MatrixLayout& layout, std::span<const StoredMatrix> parts, std::byte* place);

  FloatType activations_;
  ThreadPool* pool_ = nullptr;
  DeviceArena* arena_ = nullptr;  // null: count only
  size_t n_bytes_ = 0;
  std::vector<std::byte> staging_;
};

}  // namespace prefold::cuda
