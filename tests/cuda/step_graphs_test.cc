// Recording and replaying, and the tables that replays read.
#include "cuda/step_graphs.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "cuda/cuda_step_tables.h"
#include "cuda/error.h"
#include "cuda/gpu_fixture.h"
#include "kernels/cuda/probe.h"

namespace prefold::cuda {
namespace {

class Stream {
 public:
  Stream() { check_cuda("stream", cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { (void)cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  cudaStream_t get() const { return stream_; }
  void wait() const { check_cuda("wait", cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
};

// n_sequences decode rows, each with so many blocks.
StepPlan decode_plan(int32_t n_sequences, int32_t n_blocks) {
  StepPlan plan;
  for (int32_t i = 0; i < n_sequences; ++i) {
    plan.token_ids.push_back(StepPlan::kFromSlot);
    plan.input_slots.push_back(i);
    plan.positions.push_back(n_blocks * kKvBlockTokens - 1);
    plan.spans.push_back({i, 1, plan.positions.back(), i * n_blocks, n_blocks});
    for (int32_t b = 0; b < n_blocks; ++b) plan.block_ids.push_back(100 * i + b);
  }
  return plan;
}

template <class T>
std::vector<T> download(const T* from, size_t n) {
  std::vector<T> values(n);
  check_cuda("download", cudaMemcpy(values.data(), from, n * sizeof(T), cudaMemcpyDeviceToHost));
  return values;
}

}  // namespace

TEST_CASE("graphs: steps of few rows are padded to one of a few numbers") {
  CHECK(graph_rows(1, 2048) == 8);
  CHECK(graph_rows(8, 2048) == 8);
  CHECK(graph_rows(9, 2048) == 16);
  CHECK(graph_rows(33, 2048) == 64);
  CHECK(graph_rows(65, 2048) == 128);
  CHECK(graph_rows(129, 2048) == 192);
  CHECK(graph_rows(512, 2048) == 512);
  CHECK(graph_rows(513, 2048) == 0);
  CHECK(graph_rows(1, 5) == 5);
  CHECK(graph_rows(100, 120) == 120);
}

TEST_CASE("graphs: the first step is launched, the second recorded, the others replayed [smoke]") {
  gpu();
  const Stream stream;
  DeviceBuffer<int32_t> out(1);
  StepGraphs graphs(stream.get());
  int n_launches = 0;
  for (int step = 0; step < 5; ++step) {
    out.fill_bytes(0);
    graphs.run(8, [&] {
      ++n_launches;
      check_launch("probe", launch_probe({.out = out.data()}, stream.get()));
    });
    stream.wait();
    CHECK(out.download()[0] == kProbeValue);
  }
  CHECK(n_launches == 2);
  CHECK(graphs.counts().n_graphs == 1);
  CHECK(graphs.counts().n_replays == 4);
}

TEST_CASE("graphs: an error while a step is recorded is passed on, and the stream is usable") {
  gpu();
  const Stream stream;
  DeviceBuffer<int32_t> out(1);
  const auto launch = [&] {
    check_launch("probe", launch_probe({.out = out.data()}, stream.get()));
  };
  StepGraphs graphs(stream.get());
  graphs.run(8, launch);
  CHECK_THROWS_WITH_AS(graphs.run(8,
                                  [&] {
                                    launch();
                                    throw Error("no");
                                  }),
                       "no", Error);
  out.fill_bytes(0);
  graphs.run(8, launch);
  stream.wait();
  CHECK(out.download()[0] == kProbeValue);
}

TEST_CASE("graphs: the tables of steps with as many rows lie in the same places [smoke]") {
  StepTableLimits limits;
  limits.max_rows = 64;
  limits.max_blocks_per_span = 64;
  limits.max_copies = 4;
  limits.attention_shape = {
      .n_heads = 8, .n_kv_heads = 2, .tile_rows = 64, .n_sms = gpu().sm_count};
  limits.windows = {0, 300};
  limits.attention = attention_limits(limits.max_rows, limits.attention_shape);
  DeviceArena device(arena_bytes(step_table_bytes(limits)));
  PinnedArena pinned(StepTableBuilder::kMaxSteps * arena_bytes(step_table_bytes(limits)));
  StepTableBuilder builder(limits, device, pinned);
  const Stream stream;

  const StepPlan plans[] = {decode_plan(5, 2), decode_plan(7, 40)};
  StepTables tables[2];
  std::vector<AttentionTables> lists[2];
  for (int i = 0; i < 2; ++i) {
    tables[i] = builder.upload(plans[i], {}, 16, i, stream.get());
    stream.wait();
    const StepTables& t = tables[i];
    CHECK(t.is_replayable);
    CHECK(t.n_rows == 16);
    const size_t n_rows = plans[i].token_ids.size();
    const std::vector<int32_t> ids = download(t.token_ids, 16), slots = download(t.kv_slots, 16);
    CHECK(ids[n_rows - 1] == StepPlan::kFromSlot);
    CHECK(ids[n_rows] == 0);
    CHECK(slots[n_rows - 1] == plans[i].block_ids.back() * kKvBlockTokens + kKvBlockTokens - 1);
    CHECK(slots[n_rows] == -1);
    lists[i].assign(t.attention.begin(), t.attention.end());
    REQUIRE(lists[i].size() == 2);
    for (size_t w = 0; w < 2; ++w) {
      const AttentionTables& of_window = lists[i][w];
      const AttentionCounts counts = download(of_window.counts, 1)[0];
      CHECK(counts.n_items >= static_cast<int32_t>(n_rows));
      CHECK(counts.n_items <= of_window.most.n_items);
      for (const AttentionItem& item : download(of_window.items, counts.n_items)) {
        const int32_t first = item.begin_position / kKvBlockTokens;
        CHECK(download(t.entries + item.first_block + first, 1)[0] == 100 * item.first_row + first);
        if (w == 1) CHECK(item.end_position - item.begin_position <= 300 + kCudaAttentionChunk);
      }
      for (const AttentionMerge& merge : download(of_window.merges, counts.n_merges)) {
        for (const int32_t part : download(t.entries + merge.first_part, merge.n_parts)) {
          CHECK(part >= 0);
          CHECK(part < limits.attention.n_partial_rows);
        }
      }
    }
  }
  CHECK(tables[0].token_ids == tables[1].token_ids);
  CHECK(tables[0].input_slots == tables[1].input_slots);
  CHECK(tables[0].positions == tables[1].positions);
  CHECK(tables[0].kv_slots == tables[1].kv_slots);
  CHECK(tables[0].entries == tables[1].entries);
  for (size_t w = 0; w < 2; ++w) {
    CHECK(lists[0][w].counts == lists[1][w].counts);
    CHECK(lists[0][w].merges == lists[1][w].merges);
    CHECK(lists[0][w].items == lists[1][w].items);
    CHECK(lists[0][w].most.n_items == lists[1][w].most.n_items);
    CHECK(lists[0][w].most.n_merges == lists[1][w].most.n_merges);
  }
}

TEST_CASE("tables: the last layer goes on with the rows that are wanted, one at least [smoke]") {
  StepTableLimits limits;
  limits.max_rows = 16;
  limits.max_blocks_per_span = 16;
  limits.attention_shape = {.n_heads = 4, .n_kv_heads = 4, .tile_rows = 64, .n_sms = 2};
  limits.windows = {0, 300};
  limits.last_window = 300;
  limits.attention = attention_limits(limits.max_rows, limits.attention_shape);
  limits.n_adapters = 3;
  DeviceArena device(arena_bytes(step_table_bytes(limits)));
  PinnedArena pinned(StepTableBuilder::kMaxSteps * arena_bytes(step_table_bytes(limits)));
  StepTableBuilder builder(limits, device, pinned);
  const Stream stream;
  StepPlan plan = decode_plan(6, 16);
  plan.adapters = {{1, 3, 2}};
  const auto upload = [&](const std::vector<int32_t>& wanted, int32_t n_recorded_rows) {
    const StepTables tables = builder.upload(plan, wanted, n_recorded_rows, 0, stream.get());
    stream.wait();
    return tables;
  };

  const StepTables some = upload({1, 3, 5}, 0);
  REQUIRE(some.kept.n_rows == 3);
  CHECK(download(some.kept.rows, 3) == std::vector<int32_t>{1, 3, 5});
  CHECK(download(some.kept.positions, 3) == std::vector<int32_t>(3, 16 * kKvBlockTokens - 1));
  REQUIRE(some.kept.lora.max_tiles == 1);
  const LoraTile tile = download(some.kept.lora.tiles, 1)[0];
  CHECK(tile.first_row == 0);
  CHECK(tile.n_rows == 2);
  CHECK(tile.adapter == 2);
  const AttentionCounts counts = download(some.kept.attention.counts, 1)[0];
  CHECK(counts.n_merges == some.kept.attention.most.n_merges);
  std::vector<bool> has_row(3);
  for (const AttentionItem& item : download(some.kept.attention.items, counts.n_items)) {
    REQUIRE(item.first_row + item.n_rows <= 3);
    has_row[static_cast<size_t>(item.first_row)] = true;
    CHECK(item.end_position - item.begin_position <= 300 + kCudaAttentionChunk);
    const int32_t first = item.begin_position / kKvBlockTokens;
    CHECK(download(some.entries + item.first_block + first, 1)[0] ==
          100 * (2 * item.first_row + 1) + first);
  }
  CHECK(has_row == std::vector<bool>(3, true));
  CHECK(some.attention.size() == 2);

  CHECK(upload({0, 1, 2, 3, 4, 5}, 0).kept.n_rows == 0);  // all go on
  CHECK(upload({1, 3, 5}, 8).kept.n_rows == 0);           // likewise, as it may be replayed
  const StepTables none = upload({}, 0);
  REQUIRE(none.kept.n_rows == 1);
  CHECK(download(none.kept.rows, 1)[0] == 0);
  CHECK(none.kept.lora.max_tiles == 0);
}

TEST_CASE("graphs: a step with more items than a recorded launch provides for keeps its own size") {
  StepTableLimits limits;
  limits.max_rows = 64;
  limits.max_blocks_per_span = 64;
  limits.attention_shape = {.n_heads = 4, .n_kv_heads = 4, .tile_rows = 64, .n_sms = 2};
  limits.attention = attention_limits(limits.max_rows, limits.attention_shape);
  DeviceArena device(arena_bytes(step_table_bytes(limits)));
  PinnedArena pinned(StepTableBuilder::kMaxSteps * arena_bytes(step_table_bytes(limits)));
  StepTableBuilder builder(limits, device, pinned);
  const Stream stream;
  // Members of a segment of a chunk, each with five more of its own.
  StepPlan plan = decode_plan(10, 48);
  for (RowSpan& span : plan.spans) {
    for (int32_t b = 0; b < 8; ++b) plan.block_ids[span.first_block + b] = b;
  }
  plan.segments = {{0, 8, 0, 10}};
  const StepTables tables = builder.upload(plan, {}, 16, 0, stream.get());
  stream.wait();
  CHECK_FALSE(tables.is_replayable);
  CHECK(tables.n_rows == 10);
  CHECK(tables.attention[0].most.n_items == 51);
  CHECK(tables.attention[0].most.n_merges == 10);
}

}  // namespace prefold::cuda
