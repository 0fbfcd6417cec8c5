// Where and how ops run: the thread pool, the kernels of one instruction set (it owns neither), and
// the precision of products.
#pragma once

#include "base/thread_pool.h"
#include "kernels/cpu/kernels.h"

namespace prefold {

// What products round their inputs to: kExact not at all (f32), kFast to 8 bits where the other
// side has 8 bits or fewer: quantised weights in linear(), an int8 KV cache in attention().
enum class Precision { kExact, kFast };

// Rows of experts: grouped by expert over the whole step (kGrouped), or each row's experts one
// after another, a group each, to measure what grouping brings.
enum class MoeGrouping { kGrouped, kOff };

struct Device {
  ThreadPool* pool = nullptr;
  const CpuKernels* kernels = nullptr;
  Precision precision = Precision::kExact;
  MoeGrouping moe_grouping = MoeGrouping::kGrouped;
};

}  // namespace prefold
