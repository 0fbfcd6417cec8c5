// How a block of the matrix product is cut up, what of it lies in shared memory, and how that gets
// there.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "kernels/cuda/tensor_core.cuh"
#include "kernels/cuda/weight_format.h"

namespace prefold::cuda {

inline constexpr int kGemmSharedBytes = 48 * 1024;  // at most; more would have to be asked for

// Calls fn.operator()<i>() for i = 0 .. kN - 1, so that i can be part of an immediate.
template <int kN, class Fn>
__device__ __forceinline__ void static_for(const Fn& fn) {
  [&]<int... kI>(std::integer_sequence<int, kI...>) { (fn.template operator()<kI>(), ...); }
  (std::make_integer_sequence<int, kN>());
}

// A block's kRows x kOutputs outputs, cut into warps of kWarpRows x kWarpOutputs; kK of k a stage.
// kRows may be 8: then the other 8 rows of a tile of the tensor cores are zeros.
template <int kRows_, int kOutputs_, int kWarpRows_, int kWarpOutputs_, int kK_>
struct GemmShape {
  static constexpr int kRows = kRows_, kOutputs = kOutputs_, kK = kK_;
  static constexpr int kWarpRows = kWarpRows_, kWarpOutputs = kWarpOutputs_;
  static constexpr int kWarpsOverOutputs = kOutputs / kWarpOutputs;
  static constexpr int kThreads = kRows / kWarpRows * kWarpsOverOutputs * 32;
};

// Shared memory of one stage: x row-major, then the weights (dense ones like x; else units, group
// by group), then the scales, group by group.
template <class Shape, WeightFormat kFormat>
struct GemmStage {
  static constexpr bool kDense = kFormat == WeightFormat::kDense;
  static constexpr int kGroups = Shape::kK / kWeightGroup;
  static constexpr int kRowBytes = Shape::kK * 2;
  static constexpr int kUnitBytes = unit_bytes(kFormat), kScaleBytes = scale_bytes(kFormat);
  static constexpr int kOutputBytes = kUnitBytes / kWeightUnitOutputs;  // of a group's quants
  static constexpr int kUnitsBytes = Shape::kOutputs * kOutputBytes;    // of one group
  static constexpr int kScalesBytes = kDense ? 0 : Shape::kOutputs * kScaleBytes;
  static constexpr int kWeightOffset = Shape::kRows * kRowBytes;
  static constexpr int kScaleOffset =
      kWeightOffset + (kDense ? Shape::kOutputs * kRowBytes : kGroups * kUnitsBytes);
  static constexpr int kBytes = kScaleOffset + kGroups * kScalesBytes;
  static constexpr int kStages = std::min(8, kGemmSharedBytes / kBytes);
  static_assert(kStages >= 2 && kBytes % 128 == 0 && kWeightOffset % 128 == 0);
};

// Where chunk (16 bytes) `chunk` of row `row` lies among rows of kRowBytes: permuted so that a
// chunk of 8 consecutive rows, and 8 consecutive chunks, are in different banks. Rows 8 apart have
// the same permutation; of rows longer than 128 bytes, each 128 bytes are permuted by themselves.
template <int kRowBytes>
__device__ __forceinline__ int swizzled(int row, int chunk) {
  static_assert(kRowBytes == 64 || kRowBytes % 128 == 0);
  const int turn = kRowBytes == 64 ? row >> 1 & 3 : row & 7;
  return row * kRowBytes + (chunk ^ turn) * 16;
}

// Keeps a value in a register: it is not worked out anew wherever it is used.
__device__ __forceinline__ void keep(int& value) { asm volatile("" : "+r"(value)); }
__device__ __forceinline__ void keep(uint32_t& value) { asm volatile("" : "+r"(value)); }

// A thread's share in the copies of one operand, stage after stage. A stage has kPieces pieces of
// kPieceChunks chunks (rows of a row-major matrix, or groups of quants), a pitch apart in global
// memory. Chunks that are absent (rows or outputs past the last) are zeroed once in all stages: no
// output that is stored depends on them.
template <int kThreads, int kPieces, int kPieceChunks, bool kSwizzled>
class StageCopier {
 public:
  static constexpr int kAll = std::numeric_limits<int>::max();

  // from: of the block's first piece; step: bytes from a stage to the next, in global memory.
  __device__ __forceinline__ StageCopier(const void* from, int64_t pitch, int64_t step,
                                         int n_present_pieces, int n_present_chunks)
      : pitch_(pitch), step_(step), present_(those_before(n_present_pieces, n_present_chunks)) {
    const int piece = threadIdx.x / kPieceChunks, chunk = threadIdx.x % kPieceChunks;
    from_ = static_cast<const char*>(from) + piece * pitch + chunk * 16;
    to_ = kSwizzled ? swizzled<kPieceChunks * 16>(piece, chunk) : threadIdx.x * 16;
    keep(to_);
    keep(present_);
  }

  __device__ __forceinline__ void zero_absent(char* stages, int stage_bytes, int n_stages) const {
    const uint32_t absent = those_before(kAll, kAll) & ~present_;
    if (absent == 0) return;
    for (int stage = 0; stage < n_stages; ++stage) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        if ((absent >> i & 1) == 0) continue;
        *reinterpret_cast<uint4*>(stages + stage * stage_bytes + to_ + i * kStepBytes) =
            make_uint4(0, 0, 0, 0);
      }
    }
  }

  // Copies the next stage to a shared address.
  __device__ __forceinline__ void copy(uint32_t to) { copy_chunks(to, present_); }

  // As copy, but of the last stage, of which only this many pieces, of this many chunks, are there.
  __device__ __forceinline__ void copy_part(uint32_t to, int n_pieces, int n_chunks) {
    copy_chunks(to, present_ & those_before(n_pieces, n_chunks));
  }

 protected:
  static constexpr int kChunks = kPieces * kPieceChunks;
  static constexpr int kCount = (kChunks + kThreads - 1) / kThreads;
  static constexpr int kStepBytes = kThreads * 16;  // between the thread's chunks, in shared memory
  static_assert(kThreads % kPieceChunks == 0 || kPieceChunks % kThreads == 0);
  static_assert(!kSwizzled || kThreads / kPieceChunks % 8 == 0);

  // Bit i: the thread's i-th chunk is one of the first n_chunks of one of the first n_pieces.
  static __device__ __forceinline__ uint32_t those_before(int n_pieces, int n_chunks) {
    const int piece = threadIdx.x / kPieceChunks, chunk = threadIdx.x % kPieceChunks;
    uint32_t bits = 0;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int its_piece = piece + i * kThreads / kPieceChunks;
      const int its_chunk = chunk + i * kThreads % kPieceChunks;
      const bool is_one = its_piece < kPieces && its_piece < n_pieces && its_chunk < n_chunks;
      bits |= is_one ? 1u << i : 0u;
    }
    return bits;
  }

  // The thread's i-th chunk of the next stage.
  __device__ __forceinline__ const char* source(int i) const {
    return from_ + i * kThreads / kPieceChunks * pitch_ + i * kThreads % kPieceChunks * 16;
  }

  __device__ __forceinline__ void copy_chunks(uint32_t to, uint32_t which) {
    copy_chunks(to, which, [&](int i) { return source(i); });
  }

  template <class Source>
  __device__ __forceinline__ void copy_chunks(uint32_t to, uint32_t which, const Source& from) {
    const uint32_t first = to + to_;
#if __CUDA_ARCH__ >= 800
    static_for<kCount>(
        [&]<int kI>() { copy_16_async<kI * kStepBytes, kI>(first, from(kI), which); });
#else
    uint4 values[kCount];  // all on their way before the first is waited for
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if ((which >> i & 1) != 0) values[i] = __ldg(reinterpret_cast<const uint4*>(from(i)));
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if ((which >> i & 1) != 0) store_16(first + i * kStepBytes, values[i]);
    }
#endif
    from_ += step_;
  }

  const char* from_;
  int64_t pitch_, step_;
  uint32_t present_;  // bit i: the thread's i-th chunk is
  int to_;            // bytes from a stage to its first
};

}  // namespace prefold::cuda
