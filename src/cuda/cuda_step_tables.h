// What the kernels must know about a step's rows, in device memory: tokens, positions, KV slots,
// block tables, block copies, the lists of attention. Built in page-locked memory, one transfer a
// step. Where a pointer of StepTables points is known from the number of rows alone, but for the
// block copies, and whether any row has an adapter, so that a recorded forward pass finds the
// tables of later steps (step_graphs.h).
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cuda/arena.h"
#include "cuda/attention_plan.h"
#include "kernels/cuda/lora.h"
#include "plan/kept_rows.h"
#include "plan/step_plan.h"

namespace prefold::cuda {

struct StepTableLimits {
  int32_t max_rows = 0;
  int32_t max_blocks_per_span = 0;
  int32_t max_copies = 0;
  AttentionShape attention_shape;      // `window` is not used:
  std::vector<int32_t> windows = {0};  // those of the model's layers, each once
  AttentionLimits attention;
  int32_t n_adapters = 0;
  int32_t last_window = 0;  // of the last layer
};

// The lists of attention for the layers of one window.
struct AttentionTables {
  const AttentionCounts* counts = nullptr;
  const AttentionMerge* merges = nullptr;
  const AttentionItem* items = nullptr;
  AttentionCounts most;  // what launches must provide for
};

// The rows that go through adapters. max_tiles: what launches must provide for; 0: none does.
struct LoraTables {
  const LoraTile* tiles = nullptr;
  const int32_t* n_tiles = nullptr;
  int32_t max_tiles = 0;
};

// The rows that the last layer goes on with (plan/kept_rows.h), numbered from 0.
struct KeptTables {
  int32_t n_rows = 0;                  // 0: all go on
  const int32_t* rows = nullptr;       // (n_rows), ascending: which of the step's they are
  const int32_t* positions = nullptr;  // (n_rows)
  AttentionTables attention;           // of the last layer's window
  LoraTables lora;
};

// Device pointers to the tables of one step.
struct StepTables {
  int32_t n_rows = 0;                    // the plan's, or more: then the others are padding
  bool is_replayable = false;            // are of use to launches recorded for n_rows
  const int32_t* token_ids = nullptr;    // (n_rows), as StepPlan::token_ids
  const int32_t* input_slots = nullptr;  // (n_rows)
  const int32_t* positions = nullptr;    // (n_rows)
  const int32_t* kv_slots = nullptr;     // (n_rows): block * kKvBlockTokens + offset; -1: padding
  LoraTables lora;
  const BlockCopy* copies = nullptr;
  std::span<const AttentionTables> attention;  // for each of the windows; until the next upload
  const int32_t* entries = nullptr;  // block tables and parts: first_block and first_part are here
  KeptTables kept;
};

class StepTableBuilder {
 public:
  static constexpr int32_t kMaxSteps = 2;  // in flight

  // Takes step_table_bytes of `device`, and kMaxSteps times as much of `pinned`. The arenas outlive
  // this.
  StepTableBuilder(const StepTableLimits& limits, DeviceArena& device, PinnedArena& pinned);

  // Writes the step's tables and starts their copy to the device. `step` counts the steps: the copy
  // of step - kMaxSteps must be done. The plan may be given up when this returns; the tables stay
  // until the stream comes to the next upload.
  //
  // n_recorded_rows > 0: so many rows, and each `most` the same for all such steps, save those with
  // an unusual number of items for attention: is_replayable says which. In others the last layer
  // goes on with the `wanted` rows (WantedRows::rows), one at least.
  StepTables upload(const StepPlan& plan, std::span<const int32_t> wanted, int32_t n_recorded_rows,
                    int64_t step, cudaStream_t stream);

 private:
  // n elements to write, and where they will be on the device.
  template <class T>
  struct Place {
    T* host;
    const T* device;
  };
  template <class T>
  Place<T> take(size_t n);
  template <class T>
  const T* put(std::span<const T> values);
  const int32_t* put_rows(const std::vector<int32_t>& values, int32_t n_rows);
  // Storage of the lists of a window.
  struct Lists {
    Lists(const AttentionLimits& limits, int32_t window_of_layers);
    int32_t window;
    std::vector<AttentionItem> items;
    std::vector<AttentionMerge> merges;
    std::vector<int32_t> parts;
    AttentionLists lists;
    Place<AttentionItem> item_place = {};
    Place<AttentionMerge> merge_place = {};
  };
  const int32_t* put_kv_slots(const StepPlan& plan, int32_t n_rows);
  LoraTables put_lora_tiles(std::span<const AdapterRows> adapters, const StepTables& tables);
  void plan_lists(std::span<const RowSpan> spans, std::span<const SharedSegment> segments,
                  Lists& of_window);
  void put_lists(const StepPlan& plan, StepTables& tables);
  void put_kept(const StepPlan& plan, std::span<const int32_t> wanted, StepTables& tables);

  StepTableLimits limits_;
  AttentionPlanScratch scratch_;
  std::vector<Lists> lists_;                // by window, then those of the kept rows
  std::vector<AttentionTables> attention_;  // likewise
  KeptRows kept_;
  std::vector<LoraTile> lora_tiles_;
  std::byte* device_ = nullptr;
  std::byte* staging_[kMaxSteps] = {};
  std::byte* host_ = nullptr;  // the staging buffer of the step being written
  size_t n_bytes_ = 0;         // of each buffer
  size_t used_ = 0;
};

size_t step_table_bytes(const StepTableLimits& limits);

}  // namespace prefold::cuda
